"""Steps to stages: what runs together in one worker, and which columns travel between workers.

A step that loads a model starts a pool of actors; the others run in tasks. A step that provides a
local column (pixels) runs wherever that column is needed, so a picture is decoded in each stage
that looks at it and only its encoded bytes travel.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ipseg.columns import ERROR_COLUMNS, from_table, is_local, to_table
from ipseg.errors import FailureBudgetError
from ipseg.rows import Resources, Row, Step, failed, is_failed
from ipseg.runner import run_step
from pipeline.engines.record import Recorder

DEATHS = 3  # workers that a row may end before it is left alone


class PoisonedRow(Exception):  # noqa: N818  (its name is what users see in `error_type`)
    """A row that ends the process of whoever works on it."""

    def __init__(self, deaths: int) -> None:
        super().__init__(
            f"{deaths} workers ended while they were at this row (crash, or out of memory)"
        )


@dataclass(frozen=True)
class Stage:
    """Steps that run one after the other in the same worker.

    Attributes:
        name: of its main step.
        steps: in order, with the local steps they need in front.
        actor: True if a model is loaded, so that workers are kept.
        columns: what leaves the stage: all that a later stage or the output needs.
    """

    name: str
    steps: tuple[Step, ...] = field(repr=False)
    actor: bool
    columns: tuple[str, ...]

    @property
    def resources(self) -> Resources:
        """Of one worker: its steps take turns on the CPU, but their models are loaded together."""
        return Resources(
            cpus=max(step.resources.cpus for step in self.steps),
            gpu_memory_gb=sum(step.resources.gpu_memory_gb for step in self.steps),
        )


def build_stages(steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]) -> list[Stage]:
    """Groups a checked chain of steps into stages.

    Args:
        steps: the chain, in order.
        given: columns the source's rows carry.
        wanted: columns that must be there at the end.
    """
    groups: list[list[Step]] = []
    for step in steps:
        if any(is_local(column) for column in step.provides):
            continue
        same_worker = groups and not step.loads_model and not groups[-1][0].loads_model
        if same_worker:
            groups[-1].append(step)
        else:
            groups.append([step])
    with_local = [_with_local(group, steps) for group in groups]
    stages = []
    for index, group in enumerate(with_local):
        available = {*given, *ERROR_COLUMNS}
        for done in with_local[: index + 1]:
            available.update(column for step in done for column in step.provides)
        needed = {*wanted, *ERROR_COLUMNS}
        for later in with_local[index + 1 :]:
            needed.update(column for step in later for column in step.requires)
            needed.update(column for step in later for column in step.uses)
        columns = sorted(c for c in needed & available if not is_local(c))
        main = groups[index]
        stages.append(
            Stage(
                name="+".join(step.name for step in main),
                steps=tuple(group),
                actor=main[0].loads_model,
                columns=tuple(columns),
            )
        )
    return stages


def _with_local(group: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """The group with the providers of its local columns in front, and what these need in turn."""
    needed = {column for step in group for column in step.requires if is_local(column)}
    local: list[Step] = []
    for step in reversed(steps):
        if needed & set(step.provides) and step not in group:
            local.insert(0, step)
            needed |= {column for column in step.requires if is_local(column)}
    return [*local, *group]


def run_stage(stage: Stage, record: Recorder, table: pa.Table) -> pa.Table:
    """Runs a prepared stage on an Arrow table: one row out for each row in.

    Rows that were at work when a worker ended are run one by one, so that the one to blame is
    found; after `DEATHS` workers it is marked as poisoned and left alone.

    Raises:
        FailureBudgetError: too many rows of the run have failed.
    """
    started = time.perf_counter()
    rows: list[Row] = from_table(table)
    keys = [row["key"] for row in rows]
    deaths = record.begin(stage.name, keys)
    if any(deaths):
        pairs = zip(rows, deaths, strict=True)
        done = [_run_alone(stage, record, row, ended) for row, ended in pairs]
    else:
        done = _run(stage, rows)
    result = to_table(done, stage.columns)
    image_bytes = result["image_bytes"].nbytes if "image_bytes" in result.column_names else 0
    stop = record.end(
        stage.name,
        keys,
        failed=sum(is_failed(row) for row in done),
        seconds=time.perf_counter() - started,
        sizes=(result.nbytes - image_bytes, image_bytes),
    )
    if stop is not None:
        raise FailureBudgetError(stop)
    return result


def _run(stage: Stage, rows: list[Row]) -> list[Row]:
    for step in stage.steps:
        rows = run_step(step, rows)
    return rows


def _run_alone(stage: Stage, record: Recorder, row: Row, deaths: int) -> Row:
    if deaths >= DEATHS:
        return failed(row, stage.name, PoisonedRow(deaths))
    record.begin_one(stage.name, row["key"])
    (done,) = _run(stage, [row])
    record.end_one(stage.name, row["key"])
    return done
