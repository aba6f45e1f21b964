"""An iterator that runs in a thread of its own, so that a signal ends the wait for it alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def aside(make: Callable[[], Iterator[Item]]) -> Iterator[Iterator[Item]]:
    """Items of an iterator that is made, and waited for, in another thread; one item ahead.

    An exception that a signal raises in this thread does not pass through the iterator, which
    goes on until the context ends, and ends at its next item then.

    Args:
        make: the iterator; what it raises, and what that raises, is raised here.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(1)
    ended = threading.Event()

    def run() -> None:
        try:
            for item in make():
                if ended.is_set():
                    return
                ready.put((item, None))
            ready.put((None, StopIteration()))
        except BaseException as error:  # noqa: BLE001  (raised by whoever waits)
            ready.put((None, error))

    def items() -> Iterator[Item]:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # None may be an item

    threading.Thread(target=run, name="results", daemon=True).start()
    try:
        yield items()
    finally:
        ended.set()
        while not ready.empty():  # it may wait for room
            ready.get()
