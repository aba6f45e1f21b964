"""How fast rows are done: by the last minute, since what was before says little of what is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

WINDOW_SECONDS = 60.0


class Pace:
    """Takes in how many rows are done, now and then.

    Attributes:
        per_second: rows a second over the last minute, or since the beginning; 0.0 if none came.
    """

    def __init__(self, now: float, done: int = 0) -> None:
        self._seen = deque([(now, done)])
        self.per_second = 0.0

    def add(self, now: float, done: int) -> None:
        """Takes in rows that are done by now, in seconds of any clock."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        self.per_second = (done - before) / (now - since) if now > since else 0.0

    def seconds_for(self, rows: int) -> float | None:
        """How long so many rows take; None as long as none came."""
        return rows / self.per_second if self.per_second > 0 else None


def pace_of_parts(begun: float, written: Sequence[float], rows: int) -> float:
    """Rows a second, as `Pace` has it, from when parts of about equal size were written.

    Args:
        begun: when the first row could have been done, in seconds since 1970.
        written: when each part was, in whatever order; those before `begun` do not count.
        rows: in all parts that count.
    """
    times = sorted(when for when in written if when >= begun)
    pace = Pace(begun)
    for number, when in enumerate(times, start=1):
        pace.add(when, number)
    return pace.per_second * rows / len(times) if times else 0.0
