"""Progress on stderr: stages and a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pipeline.stages.record import RunRecord

log = logging.getLogger("ipseg")
FIRST_LINE_SECONDS = 2.0
LINE_SECONDS = 10.0
_REFRESH_SECONDS = 0.5


@contextlib.contextmanager
def show_progress(
    label: str, total: int | None, record: RunRecord, done: Callable[[], int]
) -> Iterator[None]:
    """Reports how far a run is while the body runs.

    Args:
        label: what is being done.
        total: rows of the source, None if not known before.
        record: of the run; asked now and then, from a thread of its own.
        done: rows of this run that are in the shards, or will be whatever ends it.
    """
    stop = threading.Event()
    run = _Followed(label, total, record, done, stop)
    console = Console(stderr=True)
    follow = partial(run.on_terminal, console) if console.is_terminal else run.in_log
    thread = threading.Thread(target=follow, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class _Followed:
    """A run; the attributes are those of `show_progress`, and what ends it."""

    label: str
    total: int | None
    record: RunRecord
    done: Callable[[], int]
    stop: threading.Event

    def on_terminal(self, console: Console) -> None:
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        task = bar.add_task(self.label, total=self.total)
        started = time.monotonic()
        with Live(console=console, transient=True) as live:
            while True:
                ended = self.stop.wait(_REFRESH_SECONDS)
                stages, before = self.record.summary(), self.record.progress()["before"]
                bar.update(task, completed=self.done() + before)
                live.update(Group(_table(stages, time.monotonic() - started), bar))
                if ended:
                    return

    def in_log(self) -> None:
        started, total = time.monotonic(), self.total
        pauses = itertools.chain([FIRST_LINE_SECONDS], itertools.repeat(LINE_SECONDS))
        while not self.stop.wait(next(pauses)):
            stages, before = self.record.summary(), self.record.progress()["before"]
            done, seconds = self.done(), time.monotonic() - started
            of = "" if total is None else f" of {total}"
            text = f"{self.label}: {done + before}{of}, {done / seconds:.1f}/s"
            if total is not None and done:
                text += f", {_clock((total - before - done) * seconds / done)} left"
            by_stage = ", ".join(f"{stage['stage']} {stage['rows']}" for stage in stages)
            log.info("%s (%s)", text, by_stage)


def _table(stages: list[dict[str, Any]], seconds: float) -> Table:
    table = Table("stage", box=None)
    for heading in ("rows", "failed", "rows/s", "busy s/row", "bytes/row"):
        table.add_column(heading, justify="right")
    for stage in stages:
        rows = stage["rows"]
        table.add_row(
            stage["stage"],
            str(rows),
            str(stage["failed"] or ""),
            f"{rows / seconds:.1f}",
            f"{stage['seconds'] / max(1, rows):.3f}",
            f"{stage['bytes_per_row'] + stage['image_bytes_per_row']:,.0f}",
        )
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
