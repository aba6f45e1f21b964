"""The steps one after the other in this process, several batches at a time on its cores."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Event, RLock
from typing import Any, ClassVar, cast

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.rows import Row, Step
from ipseg.runner import prepare, run_step, use_threads
from pipeline.engines.choice import EngineName
from pipeline.engines.progress import show_progress
from pipeline.engines.shard_io import ShardIO
from pipeline.engines.unwritten import Unwritten
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.run_stage import end_batch
from pipeline.stages.stage import Stage, build_stages

MOST_THREADS = 16  # Python runs on one core at a time, so more would only wait for each other


class LocalEngine:
    """Runs steps in this process; in its record a stage is one step, and nothing travels."""

    name: ClassVar[EngineName] = "local"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __enter__(self) -> LocalEngine:
        """Nothing to start."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to stop."""

    def record(self, budget: FailureBudget) -> RunRecord:
        """A new record of a run, for all threads."""
        return cast(RunRecord, _OneAtATime(RunRecord(budget)))

    def check(
        self, steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]
    ) -> list[Stage]:
        """The stages; everything fits, since everything runs here."""
        return build_stages(steps, given, wanted)

    def for_few(self, steps: Sequence[Step], rows: int) -> LocalEngine:
        """The engine for few rows: this one."""
        del steps, rows
        return self

    def stream(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        shard_io: ShardIO,
    ) -> None:
        """Streams what is left of a source through the steps to the shards, in its order.

        Raises:
            FailureBudgetError: too many rows have failed.
        """
        import joblib

        cpus = joblib.cpu_count()  # as many as this container may use
        threads = min(cpus, MOST_THREADS) if all(step.thread_safe for step in steps) else 1
        # Of the libraries below each of these, unless somebody has said how many.
        below = None if "OMP_NUM_THREADS" in os.environ else cpus // threads
        prepare(steps, below)
        rows = (row for shard in source.shards for row in shard_io.unfinished_rows(shard))
        run = _Run(steps, shard_io.record, {*wanted, *ERROR_COLUMNS})
        unwritten = Unwritten[Row](shard_io, self._runtime.flush_seconds, shard_io.write)
        with (
            show_progress(source.kind, source.rows, shard_io.record, lambda: unwritten.done),
            unwritten,
            _threads(threads, below) as pool,
        ):
            for row in _in_order(pool, run, rows, self._runtime.batch_size, ahead=2 * threads):
                unwritten.add(row)


class _OneAtATime:
    """A record that several threads may use."""

    def __init__(self, record: RunRecord) -> None:
        self._record, self._lock = record, RLock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._record, name)

        def locked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the method)
            with self._lock:
                return method(*args, **kwargs)

        return locked


@contextmanager
def _threads(count: int, below: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads whose libraries use so many each. What they are at in the end is not waited for."""
    pool = ThreadPoolExecutor(count, "steps", use_threads, (below,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor,
    run: Callable[[list[Row]], list[Row]],
    rows: Iterator[Row],
    batch_size: int,
    ahead: int,
) -> Iterator[Row]:
    """What becomes of the rows, in their order; so many batches are begun ahead of it."""
    begun = deque[Future[list[Row]]]()
    while batch := list(islice(rows, batch_size)):
        begun.append(pool.submit(run, batch))
        if len(begun) > ahead:
            yield from begun.popleft().result()
    while begun:
        yield from begun.popleft().result()


class _Run:
    """Runs steps on batches until one of them ends the run."""

    def __init__(self, steps: Sequence[Step], record: RunRecord, keep: set[str]) -> None:
        self._steps, self._record, self._keep = steps, record, keep
        self._ended = Event()

    def __call__(self, rows: list[Row]) -> list[Row]:
        """The rows without their pixels, so that a part's worth of them fits in memory."""
        if self._ended.is_set():
            return []
        try:
            for step in self._steps:
                started = time.perf_counter()
                rows = run_step(step, rows)
                end_batch(self._record, step.name, rows, started)
        except BaseException:
            self._ended.set()
            raise
        return [{name: row[name] for name in row if name in self._keep} for row in rows]
