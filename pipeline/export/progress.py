"""Progress of an export on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ipseg.wording import counted, speed
from pipeline.runfolder.pace import Pace

log = logging.getLogger("ipseg")
LINE_SECONDS = 10.0

_Item = TypeVar("_Item")


def followed(label: str, items: Iterable[_Item], total: int) -> Iterator[_Item]:
    """The items, while it is reported how many have passed.

    Args:
        label: what is being done.
        items: of any number.
        total: how many are expected.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _in_log(label, items, total)
        return
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(items, total=total)


def _in_log(label: str, items: Iterable[_Item], total: int) -> Iterator[_Item]:
    begun = last = time.monotonic()
    pace = Pace(begun)
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            pace.add(now, number)
            left = pace.seconds_for(max(0, total - number)) or 0.0
            fast = speed(pace.per_second, "row") if pace.per_second else ""
            log.info(
                "%s: %s of %s, %s, %.0f s left", label, f"{number:,}", counted(total, "row"), fast,
                left,
            )  # fmt: skip
