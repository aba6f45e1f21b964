"""How far a run is: counted where rows cannot be lost any more, so that it never goes back."""

import re
import time

import pytest

from pipeline.engines import progress
from pipeline.runfolder.pace import Pace
from pipeline.stages.record import FailureBudget, RunRecord


@pytest.fixture
def reported(monkeypatch, caplog):
    """Function: record, rows done -> what was said about it, as (rows done, rows in all)."""
    monkeypatch.setattr(progress, "FIRST_LINE_SECONDS", 0.01)

    def look(record, done):
        caplog.clear()
        reporting = progress.show_progress("images", 9, record, lambda: done)
        with caplog.at_level("INFO", "ipseg"), reporting:
            deadline = time.monotonic() + 30
            while not caplog.records and time.monotonic() < deadline:
                time.sleep(0.01)
        found = re.findall(r"images: (\d+) of (\d+)", caplog.text)
        assert found
        return {tuple(map(int, pair)) for pair in found}

    return look


def test_rows_count_when_they_are_done_not_when_a_stage_is_through_with_them(reported):
    record = RunRecord(FailureBudget())
    assert reported(record, 0) == {(0, 9)}
    record.end("b", ["1", "2", "3"], 0, 0.1, (1, 1))
    assert reported(record, 2) == {(2, 9)}


def test_the_time_left_goes_by_the_last_minute_and_nothing_is_said_of_no_rows():
    pace = Pace(0.0)
    pace.add(10.0, 0)
    assert progress.progress_line("prompts", 0, 1000, pace, []) == "prompts: 0 of 1,000"
    for second in range(20, 201, 10):
        pace.add(float(second), 2 * max(0, second - 100))
    stages = [{"stage": "a", "rows": 300}, {"stage": "b", "rows": 200}]
    line = progress.progress_line("prompts", 200, 1000, pace, stages)
    assert line == "prompts: 200 of 1,000, 2.0 prompts/s, 6:40 left (a 300, b 200)"
    pace.add(400.0, 203)
    line = progress.progress_line("prompts", 203, None, pace, [])
    assert line == "prompts: 203, 67 s for each prompt"


def test_rows_of_runs_before_count_too(reported):
    record = RunRecord(FailureBudget())
    record.shard_read("s", 9, {"ok": 4}, "")
    assert reported(record, 1) == {(5, 9)}
