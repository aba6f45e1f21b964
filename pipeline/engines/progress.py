"""Progress on stderr: stages and a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
)
from rich.table import Table

from ipseg.wording import speed
from pipeline.runfolder.pace import Pace
from pipeline.stages.record import RunRecord

log = logging.getLogger("ipseg")
FIRST_LINE_SECONDS = 2.0
LINE_SECONDS = 10.0
# Kind of source -> what its rows are.
_ROWS = {"parquet": "images", "webdataset": "images", "queries": "images"}
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
    run = _Followed(_ROWS.get(label, label), total, record, done, stop)
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
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        task = bar.add_task(self.label, total=self.total, left="")
        started = time.monotonic()
        pace = Pace(started)
        with Live(console=console, transient=True) as live:
            while True:
                ended = self.stop.wait(_REFRESH_SECONDS)
                stages, before = self.record.summary(), self.record.progress()["before"]
                done = self.done()
                pace.add(time.monotonic(), done)
                left = _left(done + before, self.total, pace)
                bar.update(task, completed=done + before, left=left)
                live.update(Group(_table(stages, time.monotonic() - started), bar))
                if ended:
                    return

    def in_log(self) -> None:
        pace = Pace(time.monotonic())
        pauses = itertools.chain([FIRST_LINE_SECONDS], itertools.repeat(LINE_SECONDS))
        while not self.stop.wait(next(pauses)):
            stages, before = self.record.summary(), self.record.progress()["before"]
            done = self.done()
            pace.add(time.monotonic(), done)
            log.info("%s", progress_line(self.label, done + before, self.total, pace, stages))


def progress_line(
    label: str, done: int, total: int | None, pace: Pace, stages: Sequence[Mapping[str, Any]]
) -> str:
    """How far a run is, in one line; what is not known yet is left out."""
    of = "" if total is None else f" of {total:,}"
    fast = speed(pace.per_second, label.removesuffix("s")) if pace.per_second else ""
    by_stage = ", ".join(f"{stage['stage']} {stage['rows']}" for stage in stages)
    words = [f"{label}: {done:,}{of}", fast, _left(done, total, pace)]
    return ", ".join(filter(None, words)) + (f" ({by_stage})" if by_stage else "")


def _left(done: int, total: int | None, pace: Pace) -> str:
    """How long the rest takes, as far as that is known."""
    seconds = None if total is None else pace.seconds_for(total - done)
    return "" if seconds is None else f"{_clock(seconds)} left"


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
