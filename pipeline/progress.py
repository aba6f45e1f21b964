"""Progress on stderr: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

log = logging.getLogger("ipseg")
LINE_SECONDS = 10.0


@contextlib.contextmanager
def show_progress(label: str, total: int | None, done: Callable[[], int]) -> Iterator[None]:
    """Shows how far a run is while the body runs.

    Args:
        label: what is being done.
        total: rows in all, None if not known before.
        done: asked now and then, from a thread of its own, how many rows are done.
    """
    stop = threading.Event()
    console = Console(stderr=True)
    follow = _follow_bar if console.is_terminal else _follow_lines
    thread = threading.Thread(
        target=follow, args=(label, total, done, stop, console), name="progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _follow_bar(
    label: str, total: int | None, done: Callable[[], int], stop: threading.Event, console: Console
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total)
        while not stop.wait(0.5):
            bar.update(task, completed=done())
        bar.update(task, completed=done())


def _follow_lines(
    label: str, total: int | None, done: Callable[[], int], stop: threading.Event, console: Console
) -> None:
    started = time.monotonic()
    while not stop.wait(LINE_SECONDS):
        rows, seconds = done(), time.monotonic() - started
        of = "" if total is None else f" of {total}"
        log.info("%s: %d%s rows, %.1f rows/s", label, rows, of, rows / seconds)
        sys.stderr.flush()
