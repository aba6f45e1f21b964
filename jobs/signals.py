"""Ctrl-C and SIGTERM: what is done is written, and a line says how to go on."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

log = logging.getLogger("ipseg")

_AGAIN_SECONDS = 0.05
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def stopped_in_order() -> Iterator[None]:
    """Has a first signal unwind the stack of the body, and then ends the process with 130 or 143.

    So rows are written, leases are given back and Ray is ended. A second signal ends the process at
    once.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in _WORDS:
            signal.signal(each, signal.SIG_DFL)
        sys.exit(128 + received[0])

    def not_raised(what: sys.UnraisableHookArgs) -> None:
        if received and isinstance(what.exc_value, SystemExit):
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            before(what)

    # What a signal raises within a callback of the garbage collector, Python drops; so once more.
    before, sys.unraisablehook = sys.unraisablehook, not_raised
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a job that a script has put back
            signal.signal(number, stop)
    try:
        yield
    except BaseException:  # where it waits for a worker, Ray raises an exit of its own for ours
        if not received:
            raise
        log.debug("what the signal has ended", exc_info=True)
        word = _WORDS[signal.Signals(received[0])]
        typer.secho(f"ipseg: {word}; a run goes on where it was with the same command", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + received[0])  # Python would wait for threads in the middle of a batch
    finally:
        sys.unraisablehook = before
