"""The steps one after the other in this process: for debugging, small jobs and parity with Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.errors import FailureBudgetError
from ipseg.rows import Row, Step, is_failed
from ipseg.runner import prepare, run_local, run_step
from pipeline.engines.progress import show_progress
from pipeline.engines.record import FailureBudget, Recorder, RunRecord
from pipeline.runfolder.resume import Books
from pipeline.sources.source import Source


class LocalEngine:
    """Runs steps in this process.

    Attributes:
        record: what has been done so far; a stage is one step, and nothing travels.
    """

    def __init__(self, runtime: Runtime, budget: FailureBudget) -> None:
        self._runtime = runtime
        self.record: Recorder = RunRecord(budget)

    def __enter__(self) -> LocalEngine:
        """Nothing to start."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to stop."""

    def plan(self, steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]) -> None:
        """Nothing to fit: everything runs here."""

    def collect(
        self,
        steps: Sequence[Step],
        rows: Sequence[Row],
        given: Sequence[str],
        wanted: Sequence[str],
    ) -> list[Row]:
        """Runs a few rows (prompts) through the steps."""
        prepare(steps)
        return list(run_local(steps, rows, self._runtime.batch_size))

    def stream(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        books: Books,
    ) -> None:
        """Streams what is left of a source through the steps to the shards.

        Raises:
            FailureBudgetError: too many rows have failed.
        """
        prepare(steps)
        keep = {*wanted, *ERROR_COLUMNS}
        rows = (row for shard in source.shards for row in books.unfinished_rows(shard))
        # Without their pixels, so that a part's worth of rows fits in memory.
        slim = (
            {name: value for name, value in row.items() if name in keep}
            for row in self._finished(steps, rows)
        )
        with show_progress("images", source.rows, self.record, steps[-1].name):
            while part := list(islice(slim, self._runtime.part_rows)):
                books.write(part)

    def _finished(self, steps: Sequence[Step], rows: Iterator[Row]) -> Iterator[Row]:
        while batch := list(islice(rows, self._runtime.batch_size)):
            for step in steps:
                started = time.perf_counter()
                batch = run_step(step, batch)
                stop = self.record.end(
                    step.name,
                    [row["key"] for row in batch],
                    failed=sum(is_failed(row) for row in batch),
                    seconds=time.perf_counter() - started,
                    sizes=(0, 0),
                )
                if stop is not None:
                    raise FailureBudgetError(stop)
            yield from batch
