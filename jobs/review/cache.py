"""Values that take long to make, the last few of them kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Cache(Generic[P, T]):
    """A function whose last results are kept. Threads that want the same one wait for the first.

    Args:
        make: the function; its arguments are hashable.
        size: results to keep.
    """

    def __init__(self, make: Callable[P, T], size: int) -> None:
        self._make = make
        self._size = size
        self._kept: OrderedDict[tuple[object, ...], Future[T]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *given: P.args, **_: P.kwargs) -> T:
        """The result for these arguments; what the function raises is raised, and not kept."""
        with self._lock:
            known = self._kept.get(given)
            future: Future[T] = Future() if known is None else known
            self._kept[given] = future
            self._kept.move_to_end(given)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        if known is not None:
            return known.result()
        try:
            future.set_result(self._make(*given))
        except BaseException as error:  # noqa: BLE001  (raised again for all who wait)
            with self._lock:
                self._kept.pop(given, None)
            future.set_exception(error)
        return future.result()
