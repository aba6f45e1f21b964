"""Whatever was interrupted goes on exactly where it was, and nothing is done twice."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from ipseg.config import Runtime
from ipseg.errors import FailureBudgetError, OutputError
from ipseg.rows import Step
from pipeline.runfolder.finished import Retry
from pipeline.runfolder.folder import success_file
from pipeline.runfolder.parts import part_files, shard_parts, write_part
from pipeline.stages.record import FailureBudget

KEYS = [f"{n:03d}.jpg" for n in range(40)]


@dataclass
class Stumble(Step):
    """Fails on some keys, as long as a file stands; counts the rows it sees."""

    keys: tuple[str, ...]
    while_exists: str
    seen: str

    name: ClassVar[str] = "stumble"
    requires: ClassVar[tuple[str, ...]] = ("objects",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    def __call__(self, rows):
        with Path(self.seen).open("a") as file:
            file.writelines(f"{row['key']}\n" for row in rows)
        for row in rows:
            if row["key"] in self.keys and Path(self.while_exists).exists():
                raise ConnectionError("gone") if row["key"].startswith("01") else ValueError("bad")
        return rows


@pytest.fixture
def run(keys_run, tmp_path):
    return lambda name="run", **more: keys_run(str(tmp_path / name), KEYS, **more)


@pytest.fixture
def expected(run, contents):
    whole = run("whole")
    whole.go()
    return contents(whole.out)[0]


def successes(out):
    return {path.stem: json.loads(path.read_text()) for path in Path(out).glob("finished/*.json")}


def test_a_second_run_finds_nothing_to_do(run, contents, expected):
    work = run()
    first, second = work.go(), work.go()
    assert (first.done_now, second.done_now) == (40, 0)
    assert first.counts == second.counts == dict.fromkeys(first.counts, 0) | {"ok": 40}
    assert contents(work.out) == (expected, 40)
    assert_finished(work.out)


def assert_finished(out):
    said = successes(out)
    assert len(said) == 2
    assert sum(each["rows"] for each in said.values()) == 40
    for shard, each in said.items():
        names = {part.rpartition("/")[2] for part in shard_parts(out, shard)}
        assert {part["name"] for part in each["parts"]} == names


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_what_is_missing_is_done_again_and_nothing_else(
    run, contents, expected, engine, ray_session, tmp_path
):
    work = run()
    work.go()
    kept = part_files(work.out)[::4]
    lost = set(part_files(work.out)) - set(kept)
    rows = sum(pq.read_metadata(part).num_rows for part in lost)
    for part in lost:
        Path(part).unlink()
    (tmp_path / "seen").touch()
    work.steps = [*work.steps, Stumble((), "nowhere", str(tmp_path / "seen"))]
    work.engine = engine
    outcome = work.go()
    assert (outcome.before, outcome.done_now) == (40 - rows, rows)
    assert len((tmp_path / "seen").read_text().split()) == rows
    assert contents(work.out) == (expected, 40)
    sizes = [pq.read_metadata(part).num_rows for part in part_files(work.out) if part not in kept]
    assert max(sizes) < 4 + 8, "part_rows, and what a block of Ray's may have more"
    assert_finished(work.out)
    assert work.go().done_now == 0


def test_new_files_are_picked_up(run, contents, expected):
    work = run()
    work.keys = KEYS[:25]
    work.go()
    work.keys = KEYS
    outcome = work.go()
    assert (outcome.before, outcome.done_now) == (25, 15)
    assert contents(work.out) == (expected, 40)


def test_failed_rows_are_tried_again_by_type(run, contents, expected, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    bad = ("005.jpg", "007.jpg", "010.jpg", "011.jpg", "033.jpg")
    work = run()
    work.steps = [*work.steps, Stumble(bad, str(broken), str(tmp_path / "seen"))]
    first = work.go()
    assert (first.counts["ok"], first.counts["failed"]) == (35, 5)
    assert work.go().done_now == 0, "failed is finished, too"
    broken.unlink()
    (tmp_path / "seen").unlink()
    work.retry = Retry.parse("failed:ConnectionError")
    second = work.go()
    assert (second.done_now, second.counts["failed"]) == (2, 3)
    assert sorted(set((tmp_path / "seen").read_text().split())) == ["010.jpg", "011.jpg"]
    work.retry = Retry.parse("failed")
    assert work.go().done_now == 3
    assert contents(work.out) == (expected, 40)


def test_rows_that_fail_again_stay(run, contents, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    work = run()
    work.steps = [*work.steps, Stumble(("005.jpg",), str(broken), str(tmp_path / "seen"))]
    work.go()
    work.retry = Retry()
    assert work.go().counts["failed"] == 1
    rows, held = contents(work.out)
    assert held == 40
    assert rows["005.jpg"]["error_type"] == "ValueError"


def test_a_row_that_is_there_twice_is_dropped_once(run, contents, expected):
    work = run()
    work.go()
    part = next(p for p in part_files(work.out) if pq.read_metadata(p).num_rows > 2)
    table = pq.read_table(part, partitioning=None)
    shard = Path(part).parent.name.partition("=")[2]
    write_part(work.out, shard, table.slice(0, 2))
    Path(success_file(work.out, shard)).unlink()
    assert contents(work.out)[1] == 42
    assert work.go().done_now == 0
    assert contents(work.out) == (expected, 40)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-50], lambda data: data[:100] + bytes(400) + data[500:]]
)
def test_a_damaged_part_is_set_aside_and_done_again(run, contents, expected, damage):
    work = run()
    work.go()
    part = Path(part_files(work.out)[0])
    rows = pq.read_metadata(part).num_rows
    part.write_bytes(damage(part.read_bytes()))
    shard = part.parent.name.partition("=")[2]
    Path(success_file(work.out, shard)).unlink()
    assert work.go().done_now == rows
    assert contents(work.out) == (expected, 40)
    assert Path(f"{work.out}/damaged/{shard}/{part.name}").exists()


def test_parts_of_other_sizes_change_nothing(run, contents, expected):
    work = run()
    work.keys = KEYS[:17]
    work.go()
    work.keys, work.runtime = KEYS, Runtime(part_rows=7, batch_size=3)
    work.go()
    assert contents(work.out) == (expected, 40)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_run_that_fails_as_a_whole_is_stopped_and_keeps_what_it_has(
    run, contents, engine, ray_session, tmp_path
):
    broken = tmp_path / "broken"
    broken.touch()
    budget = FailureBudget(0.1, 8)
    work = run(engine=engine, budget=budget, runtime=Runtime(part_rows=2, batch_size=2))
    work.steps = [*work.steps, Stumble(tuple(KEYS), str(broken), str(tmp_path / "seen"))]
    with pytest.raises(FailureBudgetError, match=r"rows failed, more than the 10\.0% that may"):
        work.go()
    work.budget, work.engine = FailureBudget(1.0), "local"
    assert work.go().counts["failed"] == 40
    broken.unlink()
    work.retry = Retry()
    assert work.go().counts["ok"] == 40
    assert contents(work.out)[1] == 40


def test_lost_parts_are_noticed_at_the_end(run, tmp_path):
    @dataclass
    class Vandal(Stumble):
        def __call__(self, rows):
            for part in Path(self.while_exists).glob("data/*/part-*.parquet"):
                part.unlink()
            return rows

    work = run(runtime=Runtime(part_rows=4, batch_size=2))
    work.steps = [*work.steps, Vandal((), str(tmp_path / "run"), "")]
    with pytest.raises(OutputError, match="parts were lost while the run went on"):
        work.go()
