"""The steps one after the other in this process: for debugging, small jobs and parity with Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.rows import Row, Step
from ipseg.runner import prepare, run_step
from pipeline.engines.progress import show_progress
from pipeline.engines.shard_io import ShardIO
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.run_stage import end_batch
from pipeline.stages.stage import Stage, build_stages


class LocalEngine:
    """Runs steps in this process; in its record a stage is one step, and nothing travels."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __enter__(self) -> LocalEngine:
        """Nothing to start."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to stop."""

    def record(self, budget: FailureBudget) -> RunRecord:
        """A new record of a run."""
        return RunRecord(budget)

    def check(
        self, steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]
    ) -> list[Stage]:
        """The stages; everything fits, since everything runs here."""
        return build_stages(steps, given, wanted)

    def stream(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        shard_io: ShardIO,
    ) -> None:
        """Streams what is left of a source through the steps to the shards.

        Raises:
            FailureBudgetError: too many rows have failed.
        """
        prepare(steps)
        keep = {*wanted, *ERROR_COLUMNS}
        rows = (row for shard in source.shards for row in shard_io.unfinished_rows(shard))
        # Without their pixels, so that a part's worth of rows fits in memory.
        slim = (
            {name: value for name, value in row.items() if name in keep}
            for row in self._finished(steps, rows, shard_io.record)
        )
        with show_progress(source.kind, source.rows, shard_io.record, steps[-1].name):
            while part := list(islice(slim, shard_io.part_rows)):
                shard_io.write(part)

    def _finished(
        self, steps: Sequence[Step], rows: Iterator[Row], record: RunRecord
    ) -> Iterator[Row]:
        while batch := list(islice(rows, self._runtime.batch_size)):
            for step in steps:
                started = time.perf_counter()
                batch = run_step(step, batch)
                end_batch(record, step.name, batch, started)
            yield from batch
