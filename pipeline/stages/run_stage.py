"""Runs a stage on a table of rows, wherever a worker is."""

from __future__ import annotations

import time

import pyarrow as pa

from ipseg.columns import from_table, to_table
from ipseg.costs import drain
from ipseg.errors import FailureBudgetError
from ipseg.rows import Row, failed, is_failed
from ipseg.runner import run_step
from pipeline.stages.record import RunRecord
from pipeline.stages.stage import Stage

CRASHES = 3  # workers that a row may end before it is left alone


class PoisonedRow(Exception):  # noqa: N818  (its name is what users see in `error_type`)
    """A row that ends the process of whoever works on it."""

    def __init__(self, crashes: int) -> None:
        super().__init__(
            f"{crashes} workers ended while they worked on this row (crash, or out of memory)"
        )


def run_stage(stage: Stage, record: RunRecord, table: pa.Table) -> pa.Table:
    """Runs a prepared stage on an Arrow table: one row out for each row in.

    Rows that were at work when a worker ended are run one by one, so that the one to blame is
    found; after `CRASHES` workers it is marked as poisoned and left alone.

    Raises:
        FailureBudgetError: too many rows of the run have failed.
    """
    started = time.perf_counter()
    rows: list[Row] = from_table(table)
    crashes = record.begin(stage.name, [row["key"] for row in rows])
    if any(crashes):
        pairs = zip(rows, crashes, strict=True)
        done = [_run_alone(stage, record, row, ended) for row, ended in pairs]
    else:
        done = _run(stage, rows)
    result = to_table(done, stage.columns)
    image_bytes = result["image_bytes"].nbytes if "image_bytes" in result.column_names else 0
    end_batch(record, stage.name, done, started, (result.nbytes - image_bytes, image_bytes))
    return result


def end_batch(
    record: RunRecord, stage: str, rows: list[Row], started: float, sizes: tuple[int, int] = (0, 0)
) -> None:
    """Records what came out of a batch that was begun at a moment of `time.perf_counter`.

    Raises:
        FailureBudgetError: too many rows of the run have failed.
    """
    keys, broken = [row["key"] for row in rows], sum(is_failed(row) for row in rows)
    stop = record.end(stage, keys, broken, time.perf_counter() - started, sizes, drain())
    if stop is not None:
        raise FailureBudgetError(stop)


def _run(stage: Stage, rows: list[Row]) -> list[Row]:
    for step in stage.steps:
        rows = run_step(step, rows)
    return rows


def _run_alone(stage: Stage, record: RunRecord, row: Row, crashes: int) -> Row:
    if crashes >= CRASHES:
        return failed(row, stage.name, PoisonedRow(crashes))
    record.begin_one(stage.name, row["key"])
    (done,) = _run(stage, [row])
    record.end_one(stage.name, row["key"])
    return done
