"""Where dots and intervals are on a common axis, for inline SVG; no drawing library."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10, 20, 25)  # between ticks, in percentage points
_MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """A stretch of the percent scale.

    Attributes:
        low, high: its ends, percent.
        ticks: rising, percent; the ends among them.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, percent: float) -> float:
        """How far along the axis a value is, 0 to 100; values beyond it are put at its end."""
        return min(100.0, max(0.0, 100 * (percent - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class Mark:
    """One line of a dot chart; places are 0 to 100 along the axis, None for what is not known.

    Attributes:
        value: of this run.
        low, high: ends of its interval.
        published: of the number beside it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    published: float | None = None


def axis(values: Iterable[float | None]) -> Axis:
    """The shortest axis with round ends that holds all values (percent).

    It need not begin at 0: dots are read by their place, not by their length.
    """
    known = [value for value in values if value is not None] or [0.0, 100.0]
    for step in _STEPS:
        low, high = step * math.floor(min(known) / step), step * math.ceil(max(known) / step)
        high = max(high, low + step)
        if (high - low) / step < _MOST_TICKS:
            break
    count = round((high - low) / step)
    return Axis(low, high, tuple(low + step * n for n in range(count + 1)))


@dataclass(frozen=True)
class Scatter:
    """Quality against speed; places are 0 to 100, from the left and from the top.

    Attributes:
        dots: label, x, y.
        across: place and label of each tick, of images a second (logarithmic).
        up: the same of percent.
    """

    dots: tuple[tuple[str, float, float], ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]


def scatter(points: Iterable[tuple[str, float, float]]) -> Scatter:
    """Places of settings.

    Args:
        points: label, images a second (> 0), percent; at least one.
    """
    listed = list(points)
    scale = axis(percent for _, _, percent in listed)
    rates = [math.log10(rate) for _, rate, _ in listed]
    low, high = math.floor(min(rates)), math.ceil(max(rates))
    high = max(high, low + 1)

    def along(rate: float) -> float:
        return 100 * (math.log10(rate) - low) / (high - low)

    between = (1, 2, 5) if high - low < _MOST_TICKS // 2 else (1,)
    ticks = [n * 10.0**power for power in range(low, high) for n in between]
    ticks.append(10.0**high)
    return Scatter(
        tuple((label, along(rate), 100 - scale.place(value)) for label, rate, value in listed),
        tuple((along(tick), f"{tick:g}") for tick in ticks),
        tuple((100 - scale.place(tick), f"{tick:g}") for tick in scale.ticks),
    )


def mark(
    scale: Axis,
    value: float | None,
    interval: tuple[float, float] | None = None,
    published: float | None = None,
) -> Mark:
    """Places of a share in [0, 1] with its interval, and of a published number in percent."""

    def at(percent: float | None) -> float | None:
        return None if percent is None else scale.place(percent)

    low, high = (None, None) if interval is None else (100 * end for end in interval)
    return Mark(at(None if value is None else 100 * value), at(low), at(high), at(published))
