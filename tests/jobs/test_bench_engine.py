"""`ipseg bench --engine` as a person meets it, with few rows."""

import json
import time

import pytest
import typer
from typer.testing import CliRunner

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.errors import ConfigError
from jobs.bench.engine import GIVEN, WANTED, SyntheticRun, bottleneck
from jobs.bench.synthetic import at_least, synthetic_steps
from jobs.commands.bench import EPILOG, bench
from pipeline.planning.plan import make_plan
from pipeline.stages.stage import build_stages

app = typer.Typer()
app.command(epilog=EPILOG)(bench)


def invoke(*words):
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["--engine", *map(str, words)], catch_exceptions=False
    )


def plan_for(run, cpus=2.0):
    stages = build_stages(synthetic_steps(), (*GIVEN, *ERROR_COLUMNS), WANTED)
    return make_plan(stages, {"CPU": cpus}, run.runtime)


@pytest.fixture(scope="module")
def measured(ray_session, tmp_path_factory):
    """JSON of a run of a few rows, and what was printed about it."""
    out = tmp_path_factory.mktemp("bench") / "engine.json"
    costs = ("--match", 0.001, "--points", 0, "--segment", 0.02)
    sizes = ("--set", "runtime.batch_size=16", "--set", "runtime.block_rows=32")
    printed = invoke("--rows", 160, *costs, *sizes, "--out", out)
    assert printed.exit_code == 0, printed.output
    return json.loads(out.read_text()), printed.stdout


def test_every_row_goes_through_every_stage_at_the_cost_that_is_known(measured):
    found, _ = measured
    assert found["rows"] == 160
    assert found["bottleneck"] == "segment"
    assert found["busy_seconds"] == pytest.approx(160 * 0.02 / 2)  # workers
    assert found["efficiency"] == pytest.approx(found["busy_seconds"] / found["seconds"])
    assert 0 < found["efficiency"] < 1
    beyond = found["seconds"] - found["busy_seconds"]
    assert found["overhead_seconds_per_row"] == pytest.approx(beyond / 160)
    assert [stage["stage"] for stage in found["stages"]] == ["match", "points", "segment"]
    for stage in found["stages"]:
        assert stage["rows"] == 160
        assert stage["failed"] == 0
        assert stage["seconds"] >= stage["known_seconds"]
        assert stage["bytes_per_row"] > 0


def test_tasks_and_blocks_are_those_that_ray_counts(measured):
    found, _ = measured
    by_name = {operator["name"]: operator for operator in found["operators"]}
    segment = next(each for name, each in by_name.items() if "SegmentActor" in name)
    assert segment["tasks"] == segment["blocks"] == 160 / 32
    assert segment["bytes"] / 160 == pytest.approx(found["stages"][-1]["bytes_per_row"], rel=0.1)


def test_blocks_are_cut_in_the_task_that_reads_them(measured):
    """A cutting task of its own takes a CPU that a small machine does not have to spare."""
    found, _ = measured
    read, *others = found["operators"]
    assert read["name"].startswith("Read")
    assert "Repartition" in read["name"]
    assert (read["tasks"], read["blocks"]) == (1, 160 / 32)
    assert not any("Repartition" in operator["name"] for operator in others)


def test_memory_is_followed_from_before_the_first_row_to_after_the_last(measured):
    found, _ = measured
    curve = found["memory"]["curve"]
    assert (curve[0]["rows"], curve[-1]["rows"]) == (0, 160)
    seconds = [sample["seconds"] for sample in curve]
    assert seconds == sorted(seconds)
    for who in ("driver", "record"):
        # The kernel counts the pages of a peak in batches.
        assert 0 < max(sample[who] for sample in curve) <= found["memory"][who]["peak"] + 2**20


def test_the_tables_say_the_same(measured):
    found, printed = measured
    assert f"efficiency {found['efficiency']:.3f}: the bottleneck, segment" in printed
    for word in ("160 rows", "ms a row", "SegmentActor", "driver MB", "peak"):
        assert word in printed


@pytest.mark.parametrize(
    ("costs", "kind", "expected"),
    [
        ({"segment": 0.0}, "sleep", (0.0, "match")),  # only the engine
        ({"segment": 0.004}, "sleep", (0.002, "segment")),
        ({"match": 0.006, "segment": 0.004}, "sleep", (0.003, "match")),
        ({"match": 0.001, "points": 0.009, "segment": 0.002}, "sleep", (0.009, "points")),
        ({"match": 0.004, "segment": 0.004}, "sleep", (0.002, "match")),
        ({"match": 0.004, "segment": 0.004}, "spin", (0.004, "CPUs")),
    ],
)
def test_the_slowest_stage_sets_the_pace_and_cores_do_where_workers_spin(costs, kind, expected):
    runtime = Runtime(actors=2)
    run = SyntheticRun(**{"match": 0.0, "points": 0.0, **costs}, kind=kind, runtime=runtime)
    pace, name, _ = bottleneck(plan_for(run), run)
    assert (pytest.approx(pace), name) == expected


@pytest.mark.parametrize("kind", ["sleep", "spin"])
def test_a_step_takes_its_time_and_what_it_does_counts(kind):
    started = time.perf_counter()
    with at_least(1.0, kind):
        time.sleep(0.9)
    assert 1.0 <= time.perf_counter() - started < 1.8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "points.k=3"), "points.k=3 is about models"),
        (("--flops",), "--flops is about models"),
    ],
)
def test_settings_of_models_are_refused(words, says):
    with pytest.raises(ConfigError, match=says):
        invoke(*words)


def test_options_of_the_engine_need_it():
    with pytest.raises(ConfigError, match="--rows is about the engine"):
        CliRunner().invoke(app, ["--rows", "3"], catch_exceptions=False)


def test_more_than_a_million_rows_are_refused():
    assert invoke("--rows", 1_000_001).exit_code == 2
