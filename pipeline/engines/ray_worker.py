"""What Ray's workers are given to run: each is a new process, so this imports little."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from ipseg.runner import prepare, use_threads
from pipeline.stages.record import RunRecord
from pipeline.stages.run_stage import run_stage
from pipeline.stages.stage import Stage


class _StageActor:
    def __init__(self, stage: Stage, record: RunRecord, threads: int) -> None:
        prepare(stage.steps, threads)
        self._stage, self._record = stage, record

    def __call__(self, table: pa.Table) -> pa.Table:
        return run_stage(self._stage, self._record, table)


def actor_class(stage: str) -> type:
    """A class named after the stage, so that Ray's own tools show what runs where."""
    return type(f"{stage.title()}Actor", (_StageActor,), {})


def run_in_task(table: pa.Table, stage: Stage, record: RunRecord, threads: int) -> pa.Table:
    """Runs a stage without a model on one block."""
    prepare(stage.steps)
    _use_threads(threads, stage.name)
    return run_stage(stage, record, table)


@cache
def _use_threads(count: int, stage: str) -> None:
    """Once in a process for each stage, which may have loaded further libraries."""
    del stage
    use_threads(count)
