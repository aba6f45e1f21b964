"""Rows that are done are in parts in the end, whatever ends a run; none is there twice."""

import time
from collections import Counter
from uuid import uuid4

import pytest

from ipseg.errors import OutputError
from pipeline.engines.shard_io import ShardIO
from pipeline.engines.unwritten import Unwritten
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.parts import part_files, read_batches
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.stages.record import FailureBudget, RunRecord

PART_ROWS = 4


@pytest.fixture
def shard_io(tmp_path):
    out, run_id = str(tmp_path / "run"), uuid4().hex
    writer = ShardWriter(out, Provenance(run_id, "synthetic", "0" * 64, ()))
    return ShardIO(Ledger(out, run_id, "0" * 64), writer, RunRecord(FailureBudget()), PART_ROWS)


def row(number):
    return {"key": f"{number}", "shard": "s", "uri": "", "width": 1, "height": 1, "objects": []}


def fill(unwritten, count, pause=0.0):
    """Adds rows until one is refused."""
    with unwritten:
        for number in range(count):
            unwritten.add(row(number))
            time.sleep(pause)


def sizes(shard_io):
    """Rows of each part, largest first; no key is in two of them."""
    found = [
        [k for batch in read_batches(p, ["key"]) for k in batch["key"].to_pylist()]
        for p in part_files(shard_io.writer.out)
    ]
    keys = Counter(key for part in found for key in part)
    assert set(keys.values()) == {1}
    return sorted((len(part) for part in found), reverse=True)


def test_full_parts_are_written_at_once_and_the_rest_at_the_end(shard_io):
    with Unwritten(shard_io, 60.0, shard_io.write) as unwritten:
        for number in range(9):
            unwritten.add(row(number))
        assert sizes(shard_io) == [4, 4]
    assert sizes(shard_io) == [4, 4, 1]
    assert unwritten.done == 9


def test_a_row_waits_no_longer_than_it_may(shard_io):
    with Unwritten(shard_io, 0.3, shard_io.write) as unwritten:
        unwritten.add(row(0))
        unwritten.add(row(1))
        deadline = time.monotonic() + 10
        while not shard_io.record.progress()["counts"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sizes(shard_io) == [2], "in one part"
        unwritten.add(row(2))
    assert sizes(shard_io) == [2, 1]


@pytest.mark.parametrize("before", [True, False])
def test_a_signal_in_the_middle_of_writing_costs_no_row_and_doubles_none(shard_io, before):
    """It can come before a part is there, or after that but before anybody knows."""
    calls = []

    def interrupted(rows):
        calls.append(len(rows))
        if not before or len(calls) != 2:
            shard_io.write(rows)
        if len(calls) == 2:
            raise KeyboardInterrupt

    unwritten = Unwritten(shard_io, 60.0, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(unwritten, 9)
    assert calls == [4, 4, 4]
    assert sizes(shard_io) == [4, 4]
    assert unwritten.done == 8


def test_a_part_that_cannot_be_written_ends_the_run_and_is_not_tried_on_the_way_out(
    shard_io, caplog
):
    calls = []

    def full(rows):
        calls.append(len(rows))
        raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="full"):
        fill(Unwritten(shard_io, 60.0, full), 9)
    assert calls == [4]
    assert "4 rows of this run are done, of which the last 4 may not be in" in caplog.text


def test_what_fails_while_rows_are_awaited_is_raised_with_the_next(shard_io):
    def full(rows):
        raise OutputError("the disk is full")

    unwritten = Unwritten(shard_io, 0.05, full)
    with pytest.raises(OutputError, match="full"):
        fill(unwritten, 1_000, pause=0.3)
    assert unwritten.done < 10


def test_one_that_fails_in_the_end_is_raised_too(shard_io):
    def late(seconds):
        raise OutputError(f"not there after {seconds}")

    with pytest.raises(OutputError, match="not there after None"):
        fill(Unwritten(shard_io, 60.0, shard_io.write, late), 1)
