"""The steps one after the other in this process: for debugging, small jobs and parity with Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.rows import Row, Step
from ipseg.runner import prepare, run_local
from pipeline.progress import show_progress
from pipeline.record import Recorder, RunRecord
from pipeline.sink import ShardWriter
from pipeline.source import Source


class LocalEngine:
    """Runs steps in this process.

    Attributes:
        record: what has been done so far; a stage is one step, and nothing travels.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.record: Recorder = RunRecord()

    def __enter__(self) -> LocalEngine:
        """Nothing to start."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to stop."""

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

    def write(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        writer: ShardWriter,
    ) -> Counter[str]:
        """Streams a source through the steps to the sink; returns rows written, by status."""
        prepare(steps)
        counts: Counter[str] = Counter()
        finished = run_local(steps, self._read(source), self._runtime.batch_size, self._observe)
        keep = {*wanted, *ERROR_COLUMNS}
        # Without their pixels, so that a part's worth of rows fits in memory.
        slim = ({name: value for name, value in row.items() if name in keep} for row in finished)
        last = steps[-1].name
        with show_progress("segmenting", source.rows, lambda: self.record.rows(last)):
            while part := list(islice(slim, self._runtime.part_rows)):
                counts.update(writer.write(part))
        return counts

    def _read(self, source: Source) -> Iterator[Row]:
        for shard in source.shards:
            rows = 0
            for row in shard.read():
                rows += 1
                yield row
            self.record.shard_read(shard.id, rows)

    def _observe(self, step: str, rows: int, seconds: float) -> None:
        self.record.add(step, rows, seconds, 0, 0)
