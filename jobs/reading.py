"""How far the reading of annotations or label maps is: a bar on a terminal, else a line in the log.

Both appear on stderr, and only where reading takes long enough to wonder.
"""

from __future__ import annotations

import logging
import time

from rich.console import Console
from rich.progress import Progress

log = logging.getLogger("ipseg")

PATIENCE_SECONDS = 2.0  # before anything is printed
LINE_SECONDS = 10.0


class Reading:
    """A context; called with (done, all) by whoever reads.

    Attributes:
        label: what is being read.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._next = 0.0

    def __enter__(self) -> Reading:
        """Prints nothing yet."""
        self._next = time.monotonic() + PATIENCE_SECONDS
        return self

    def __exit__(self, *exception: object) -> None:
        """Takes the bar away."""
        self._end()

    def __call__(self, done: int, of: int) -> None:
        """Reports how far it is, in whatever is counted: files or bytes."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=of)
            if done >= of:  # a second pass, or the run itself, has a bar of its own
                self._end()
        elif time.monotonic() >= self._next and done < of:
            self._next = time.monotonic() + LINE_SECONDS
            if self._console.is_terminal:
                self._bar = Progress(console=self._console, transient=True)
                self._bar.add_task(self.label, completed=done, total=of)
                self._bar.start()
            else:
                log.info("%s: %.0f %%", self.label, 100 * done / of)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
