"""Runs steps on rows in this process, and finds the row that breaks a batch.

`run_step` is the one place where a step meets rows; the Ray workers call it too.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ipseg.costs import charged
from ipseg.rows import Row, Step, failed, is_failed

log = logging.getLogger(__name__)


def prepare(steps: Iterable[Step], threads: int | None = None) -> None:
    """Sets this process up for the steps: one OpenCV thread (results must not depend on cores).

    Args:
        steps: to set up.
        threads: as for `use_threads`.
    """
    import cv2

    cv2.setNumThreads(1)
    for step in steps:
        step.setup()
    use_threads(threads)


def use_threads(count: int | None) -> None:
    """Has BLAS, OpenMP and torch run what this thread calls on so many threads.

    It holds for the libraries that are loaded. BLAS and torch take it for the whole process.

    Args:
        count: of threads; None leaves them to the libraries.
    """
    if count is None:
        return
    from threadpoolctl import threadpool_limits

    threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def run_step(step: Step, rows: Sequence[Row], labels: tuple[str, ...] = ()) -> list[Row]:
    """One row out for each row in, in order; a row that breaks the step comes back as failed.

    Rows that failed earlier pass by untouched. When a batch raises, it is halved until the row
    that is to blame stands alone, so that its neighbours are not lost with it.

    Args:
        step: prepared.
        rows: live or failed.
        labels: of the chains that are charged with it (`ipseg.costs`); () for all.
    """
    live = [row for row in rows if not is_failed(row)]
    with charged(step.name, labels, len(live), step.networks):
        done = iter(_isolate(step, live))
    return [row if is_failed(row) else next(done) for row in rows]


def _isolate(step: Step, rows: list[Row]) -> list[Row]:
    if not rows:
        return []
    try:
        result = step(rows)
    except Exception as error:  # whatever a row does to a step belongs to that row
        if len(rows) == 1:
            log.debug("row %s failed in %s", rows[0].get("key"), step.name, exc_info=True)
            return [failed(rows[0], step.name, error)]
        middle = len(rows) // 2
        return _isolate(step, rows[:middle]) + _isolate(step, rows[middle:])
    if len(result) != len(rows):
        raise RuntimeError(f"step '{step.name}' returned {len(result)} rows for {len(rows)}")
    return result


def run_local(steps: Sequence[Step], rows: Iterable[Row], batch_size: int = 4) -> Iterator[Row]:
    """Runs prepared steps over a stream of rows in this process, a few rows at a time.

    Args:
        steps: the chain.
        rows: live or failed rows.
        batch_size: rows handed to a step in one call.
    """
    stream = iter(rows)
    while batch := list(islice(stream, batch_size)):
        for step in steps:
            batch = run_step(step, batch)
        yield from batch
