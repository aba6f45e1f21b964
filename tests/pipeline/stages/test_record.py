import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.record import FailureBudget, RunRecord


@pytest.fixture
def record():
    return RunRecord(FailureBudget())


def test_a_batch_whose_worker_ended_is_looked_at_row_by_row(record):
    assert record.begin("match", ["a", "b"]) == [0, 0]
    # The worker ends; the batch comes again, with a neighbour.
    assert record.begin("match", ["a", "b", "c"]) == [1, 1, 0]
    record.begin_one("match", "a")
    record.end_one("match", "a")
    record.begin_one("match", "b")
    # It ends again, at b.
    assert record.begin("match", ["a", "b", "c"]) == [0, 2, 0]
    assert record.begin("segment", ["a", "b"]) == [0, 0], "another stage, another suspicion"
    record.end("match", ["a", "b", "c"], 0, 0.1, (0, 0))
    assert record.begin("match", ["b"]) == [0]


def test_a_shard_is_ready_when_its_last_row_is_written_whatever_comes_last(record):
    assert record.part_written("s", "p1", {"ok": 2}) is None
    assert record.part_written("s", "p1", {"ok": 2}) is None, "the same part again"
    assert record.shard_read("s", 5, {"failed": 1}, "f") is None
    assert record.part_written("s", "p2", {"ok": 1, "empty": 1}) == (5, "f")
    assert record.unfinished() == [("s", 5, "f")]
    record.shard_finished("s")
    assert record.unfinished() == []
    assert record.progress() == {
        "read": 5,
        "counts": {"failed": 1, "ok": 3, "empty": 1},
        "before": 1,
    }


def test_an_empty_shard_is_ready_at_once(record):
    assert record.shard_read("s", 0, {}, "f") == (0, "f")


def test_at_work_is_what_was_begun_and_not_ended(record):
    record.begin("match", ["a", "b"])
    record.end("match", ["a"], 0, 0.0, (0, 0))
    assert record.at_work() == ["match: b"]


@pytest.mark.parametrize(
    ("budget", "failed", "rows", "ended", "spent"),
    [
        (FailureBudget(), 40, 60, True, False),  # a small folder with many bad files
        (FailureBudget(), 100, 1000, False, True),
        (FailureBudget(), 100, 2000, False, False),
        (FailureBudget.of(0.05), 1, 1, False, False),  # too early to tell
        (FailureBudget.of(0.05), 2, 20, False, True),
        (FailureBudget.of(0.5), 3, 4, True, True),
        (FailureBudget.of(0.0), 1, 1, False, True),
        (FailureBudget.of(1.0), 10, 10, True, False),
    ],
)
def test_budgets(budget, failed, rows, ended, spent):
    assert budget.spent(failed, rows, ended=ended) is spent


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 1))
def test_a_run_that_ends_within_its_rate_is_never_stopped_at_the_end(failed, good, rate):
    rows = failed + good
    assert FailureBudget.of(rate).spent(failed, rows, ended=True) == (
        failed > 0 and failed > rate * rows
    )


def test_a_part_that_is_written_again_after_its_shard_was_finished_counts_once():
    record = RunRecord(FailureBudget())
    assert record.part_written("a", "part-1", {"ok": 8}) is None
    assert record.shard_read("a", 8, {}, "print") == (8, "print")
    record.shard_finished("a")
    assert record.part_written("a", "part-1", {"ok": 8}) is None
    assert record.progress() == {"read": 8, "counts": {"ok": 8}, "before": 0}


def test_a_shard_that_is_read_twice_counts_once(record):
    record.shard_read("a", 5, {}, "")
    record.shard_read("b", 2, {}, "")
    record.shard_read("a", 5, {}, "")
    assert record.progress()["read"] == 7
