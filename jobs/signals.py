"""Ctrl-C and SIGTERM: what is done is written, and a line says how to go on."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(SystemExit):
    """A signal; unwinds the stack, so that rows are written, leases given back and Ray is ended."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = signal.Signals(number)


def catch_signals() -> None:
    """Has a first signal raise `Stopped` in the main thread; a second one ends the process."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a job that a script has put back
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in _WORDS:
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)


def leave(stopped: Stopped) -> NoReturn:
    """Says how to go on, and ends the process with 130 or 143."""
    word = _WORDS[stopped.number]
    typer.secho(f"ipseg: {word}; the same command goes on where this one was", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + stopped.number)  # Python would wait for threads in the middle of a batch
