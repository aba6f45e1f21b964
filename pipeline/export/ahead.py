"""Work that waits, for storage mostly, done ahead of its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 8
_AHEAD = 32  # items that are worked on before it is their turn

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def made_ahead(
    items: Iterable[_Given],
    work: Callable[[_Given], _Made],
    in_threads: bool,
    at_once: int = _AT_ONCE,
    ahead: int = _AHEAD,
) -> Iterator[tuple[_Given, _Made]]:
    """Each item with what was made of it, in order; some are worked on at a time.

    Args:
        items: taken as they are needed.
        work: called in several threads.
        in_threads: otherwise in this one, when it is their turn.
        at_once: items that are worked on at a time.
        ahead: items that are begun before it is their turn.
    """
    if not in_threads:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[_Given, Future[_Made]]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) >= ahead:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            pool.shutdown(cancel_futures=True)
