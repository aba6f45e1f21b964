"""Ctrl-C and SIGTERM during a training: the step is finished and saved before the process ends."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger("ipseg")


@contextmanager
def signals_held_back() -> Iterator[Callable[[], bool]]:
    """Holds back the first SIGINT or SIGTERM until the body has ended; a second one ends at once.

    In a thread that gets no signals, as that of a worker of Ray, nothing is held back.

    Yields:
        Whether one has come, so that the body should end.
    """
    received: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        log.info("stopping: this step is finished and saved before; a second signal ends at once")

    before = {}
    if threading.current_thread() is threading.main_thread():
        known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {n: each for n, each in known.items() if each not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, hold)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
