"""What a job refuses before it works, what it writes down, and what it goes on with."""

import json
import re
from dataclasses import replace

import pytest

from ipseg.errors import ConfigError, FailureBudgetError, OutputError
from pipeline.job import run_job
from pipeline.runfolder.finished import Retry
from pipeline.runfolder.lease import Lease
from pipeline.runfolder.parts import read_rows
from pipeline.segment import job_of
from pipeline.stages.record import FailureBudget


def test_the_manifest_says_what_was_run_and_how_often(painted):
    painted.segment("run", "runtime.batch_size=1")
    painted.segment("run", "runtime.batch_size=3", "runtime.part_rows=1")
    manifest = json.loads((painted.root / "run" / "manifest.json").read_text())
    assert [run["counts"]["ok"] for run in manifest["runs"]] == [3, 3]
    assert (manifest["bank"], manifest["concepts"]) == ("bank", ["blue", "red"])
    assert manifest["method"] == "tint:Tint"
    assert manifest["config"]["runtime"]["batch_size"] == 3, "of the newest start"
    metrics = json.loads((painted.root / "run" / "metrics.json").read_text())
    assert (metrics["rows"]["ok"], metrics["rows"]["empty"], metrics["rows_before"]) == (3, 2, 5)


def test_each_row_names_the_prompts_it_was_compared_with(painted):
    _, rows = painted.segment()
    (ids,) = {tuple(row["prompt_ids"]) for row in rows.values()}
    assert [each.partition(":")[0] for each in ids] == ["blue", "red"]
    painted.prompt("red", colour="green")
    _, other = painted.segment("other")
    changed = other["a.png"]["prompt_ids"]
    assert [each in ids for each in changed] == [True, False]


@pytest.mark.parametrize("settings", [["near=10"], ["support=none"], ["method=tint:TintByMedian"]])
def test_a_run_does_not_go_on_with_other_settings(painted, settings):
    painted.segment()
    name = settings[0].partition("=")[0]
    with pytest.raises(ConfigError, match=rf"holds rows made with other settings:\n.*  {name}"):
        painted.segment("run", *settings)


def test_a_run_does_not_go_on_with_other_prompts_unless_it_starts_over(painted):
    painted.segment()
    painted.prompt("red", colour="green")
    with pytest.raises(ConfigError, match=r"prompts\.red\.red\.png: .* -> "):
        painted.segment()
    _, rows = painted.segment(overwrite=True)
    assert [o["concept"] for o in rows["e.png"]["objects"]] == ["red"], "which is green now"
    assert len(rows) == 5


@pytest.mark.parametrize(("name", "nearest"), [("read+neer", "read+near"), ("suport", "support")])
def test_settings_of_stages_that_there_are_not_are_refused(painted, name, nearest):
    wanted = f"runtime.stages: unknown stage '{name}'; did you mean '{nearest}'?"
    with pytest.raises(ConfigError, match=re.escape(wanted)):
        painted.segment("run", f"runtime.stages.{name}.batch_size=2")
    assert not (painted.root / "run" / "bank").exists(), "before any work"


def test_settings_of_stages_of_prompts_hold_where_a_bank_is_given_too(painted):
    painted.segment("made")
    found = painted.root / "made" / "shards.parquet"
    assert found.exists()
    stages = ("runtime.stages.support.batch_size=1", "runtime.stages.read+near.batch_size=2")
    _, described = painted.segment("run", *stages)
    _, given = painted.segment("given", *stages, bank=f"{painted.root}/made")
    assert {key: row["objects"] for key, row in given.items()} == {
        key: row["objects"] for key, row in described.items()
    }


def test_two_runs_do_not_write_to_the_same_folder(painted):
    out = f"{painted.root}/run"
    with Lease(out, "other"), pytest.raises(OutputError, match="is writing to"):
        painted.segment()


def test_a_run_that_loses_too_many_rows_is_stopped_and_goes_on_later(painted):
    for number in range(6):
        (painted.root / "images" / f"broken-{number}.png").write_text("no image")
    with pytest.raises(FailureBudgetError, match="rows failed, more than"):
        painted.segment("run", budget=FailureBudget.of(0.1))
    run, rows = painted.segment("run", budget=FailureBudget.of(1.0))
    assert run.counts == {"ok": 3, "empty": 2, "failed": 6, "poisoned": 0}
    assert len(rows) == 11


def test_images_and_sequences_cannot_be_compared(painted):
    job = job_of(painted.request())
    both = {"one": painted.config(), "two": painted.config("method=tint:TintInSequences")}
    with pytest.raises(ConfigError, match="images and for sequences cannot be compared"):
        run_job(replace(job, variants=both))


def compared(painted, notes):
    """A job of two variants, of which one notes what it works on."""
    configs = {"plain": painted.config(), "noted": painted.config(f"notes={notes}")}
    return replace(job_of(painted.request()), variants=configs)


def test_a_row_that_breaks_one_variant_is_kept_for_the_others_and_tried_again(painted, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "fail").write_text("a.png\ndeep/c.png\n")
    done = run_job(compared(painted, notes))
    assert (done.outcome.counts["ok"], done.outcome.counts["failed"]) == (3, 0)
    rows = {row["key"]: row for row in read_rows(f"{painted.root}/run")}
    assert {key for key, row in rows.items() if row["incomplete"]} == {"a.png", "deep/c.png"}
    (error,) = rows["a.png"]["chain_errors"]
    assert (error["chain"], error["error_stage"]) == ("noted", "near")
    assert "the network is away" in error["error_message"]
    assert {each["variant"] for each in rows["a.png"]["objects"]} == {"plain"}

    (notes / "fail").unlink()
    assert run_job(compared(painted, notes)).outcome.done_now == 0
    retried = replace(compared(painted, notes), retry=Retry())
    assert run_job(retried).outcome.done_now == 2
    rows = {row["key"]: row for row in read_rows(f"{painted.root}/run")}
    assert {row["incomplete"] for row in rows.values()} == {0}
    for row in rows.values():
        plain, noted = (
            [{**each, "variant": ""} for each in row["objects"] if each["variant"] == label]
            for label in ("plain", "noted")
        )
        assert plain == noted


def test_a_row_that_breaks_all_variants_has_failed(painted):
    (painted.root / "images" / "a.png").write_text("no image")
    configs = {"near": painted.config("near=30"), "far": painted.config("near=90")}
    done = run_job(replace(job_of(painted.request()), variants=configs))
    assert done.outcome.counts == {"ok": 2, "empty": 2, "failed": 1, "poisoned": 0}
    (row,) = (r for r in read_rows(f"{painted.root}/run") if r["key"] == "a.png")
    assert (row["error_stage"], row["chain_errors"]) == ("decode", [])
