"""A stage on a table: failed rows pass, and a row that ends its worker costs no other row."""

import os
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ipseg.columns import from_table, to_table
from ipseg.config import Runtime
from ipseg.errors import FailureBudgetError
from ipseg.rows import Step
from ipseg.steps.decode import Decode, Read
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.run_stage import run_stage
from pipeline.stages.stage import build_stages

KEYS = [f"{n:02d}" for n in range(24)]
SOURCE = ("key", "shard", "uri")


@pytest.fixture
def table(image_folder):
    """One image that is there, and one that is not."""
    rows = [
        {"key": "a", "shard": "s", "uri": str(image_folder / "rocket.jpg")},
        {"key": "b", "shard": "s", "uri": "gone.jpg"},
    ]
    return to_table(rows, SOURCE)


@pytest.fixture
def reading():
    (stage,) = build_stages([Read()], SOURCE, (*SOURCE, "image_bytes"))
    return stage


def test_a_failed_row_passes_a_stage_and_bytes_are_counted(reading, table, image_folder):
    data = (image_folder / "rocket.jpg").read_bytes()
    record = RunRecord(FailureBudget())
    done = from_table(run_stage(reading, record, table))
    assert done[0]["image_bytes"] == data
    assert done[1]["error_type"] == "FileNotFoundError"
    (summary,) = record.summary()
    assert (summary["rows"], summary["failed"]) == (2, 1)
    assert summary["image_bytes_per_row"] == pytest.approx(len(data) / 2, rel=0.01)
    assert 0 < summary["bytes_per_row"] < 1000


def test_a_stage_ends_the_run_when_the_budget_is_spent(reading, table):
    with pytest.raises(FailureBudgetError, match="1 of 2 rows failed"):
        run_stage(reading, RunRecord(FailureBudget.of(0.0)), table)


def test_rows_under_suspicion_are_run_one_by_one_and_left_alone_after_three_workers(reading, table):
    record = RunRecord(FailureBudget())
    assert record.begin("read", ["a"]) == [0]  # its worker ends, and that of the next two
    for _ in range(2):
        record.begin_one("read", "a")
    first, second = from_table(run_stage(reading, record, table))
    assert (first["error_type"], first["error_stage"]) == ("PoisonedRow", "read")
    assert "3 workers ended" in first["error_message"]
    assert second["error_type"] == "FileNotFoundError", "its neighbour is worked on"
    assert record.begin("read", ["a", "b"]) == [0, 0], "the batch has ended"


def test_pixels_stay_in_the_worker(image_folder):
    steps = [Read(), Decode(), Sized()]
    (stage,) = build_stages(steps, SOURCE, ("key", "warning"))
    rows = [{"key": "a", "shard": "s", "uri": str(image_folder / "rocket.jpg")}]
    done = run_stage(stage, RunRecord(FailureBudget()), to_table(rows, SOURCE))
    assert set(done.column_names) == {
        "key",
        "warning",
        "error_stage",
        "error_type",
        "error_message",
    }
    (row,) = from_table(done)
    assert row["warning"].endswith(", 3)")


@dataclass
class Sized(Step):
    name: ClassVar[str] = "sized"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("warning",)

    def __call__(self, rows):
        return [{**row, "warning": str(row["image"].shape)} for row in rows]


@dataclass
class Deadly(Step):
    """Ends its process on some keys, as a segmentation fault would."""

    keys: tuple[str, ...]
    in_actor: bool

    requires: ClassVar[tuple[str, ...]] = ("objects",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    @property
    def name(self):
        return "in actor" if self.in_actor else "in task"

    @property
    def loads_model(self):
        return self.in_actor

    def __call__(self, rows):
        if any(row["key"] in self.keys for row in rows):
            os._exit(139)
        return rows


@pytest.mark.usefixtures("ray_session")
def test_exactly_the_deadly_rows_are_poisoned(keys_run, contents, tmp_path):
    whole = keys_run(str(tmp_path / "whole"), KEYS)
    whole.go()
    expected, _ = contents(whole.out)
    runtime = Runtime(batch_size=4, block_rows=8, part_rows=6)
    run = keys_run(str(tmp_path / "run"), KEYS, engine="ray", runtime=runtime)
    deadly = {"07": "in actor", "15": "in task"}
    run.steps = [*run.steps, Deadly(("07",), in_actor=True), Deadly(("15",), in_actor=False)]
    outcome = run.go()
    assert outcome.counts == dict.fromkeys(outcome.counts, 0) | {"ok": 22, "poisoned": 2}
    rows, held = contents(run.out)
    assert held == 24
    poisoned = {key: row for key, row in rows.items() if row["row_status"] == "poisoned"}
    assert {key: row["error_stage"] for key, row in poisoned.items()} == deadly
    for row in poisoned.values():
        assert row["error_type"] == "PoisonedRow"
        assert "3 workers ended" in row["error_message"]
    assert all(rows[key] == expected[key] for key in KEYS if key not in deadly)
    assert run.go().done_now == 0
