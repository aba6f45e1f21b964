"""Where dots and intervals are on a common axis, for inline SVG; no drawing library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10, 20, 25)  # between ticks, in percentage points
_MOST_TICKS = 6
_WIDTH, _HEIGHT = 400.0, 210.0  # of a scatter plot
_LINE, _LETTER = 14.0, 6.4  # of a label in it: height of a line, width of a wide letter


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
class Dot:
    """One setting in a scatter plot, all in units of the plot.

    Attributes:
        label: of the setting.
        x, y: of the dot.
        line: y of its label, which stands to the right of the plot.
    """

    label: str
    x: float
    y: float
    line: float


@dataclass(frozen=True)
class Scatter:
    """Quality against speed; units are from the left and from the top.

    Attributes:
        width, height: of the plot.
        margin: width of the longest label.
        dots: from the top to the bottom; no label lies on another.
        across: place and label of each tick, of images a second (logarithmic).
        up: the same of percent.
    """

    width: float
    height: float
    margin: float
    dots: tuple[Dot, ...]
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

    height = max(_HEIGHT, _LINE * (len(listed) - 1))

    def along(rate: float) -> float:
        return _WIDTH * (math.log10(rate) - low) / (high - low)

    def down(percent: float) -> float:
        return height * (1 - scale.place(percent) / 100)

    between = (1, 2, 5) if high - low < _MOST_TICKS // 2 else (1,)
    ticks = [n * 10.0**power for power in range(low, high) for n in between]
    ticks.append(10.0**high)
    places = sorted((down(percent), along(rate), label) for label, rate, percent in listed)
    lines = _apart([y for y, _, _ in places], height)
    return Scatter(
        *(_WIDTH, height, _LETTER * max(len(label) for label, _, _ in listed)),
        tuple(Dot(label, x, y, line) for (y, x, label), line in zip(places, lines, strict=True)),
        tuple((along(tick), f"{tick:g}") for tick in ticks),
        tuple((down(tick), f"{tick:g}") for tick in scale.ticks),
    )


def _apart(places: Sequence[float], height: float) -> list[float]:
    """Rising places, moved as little down or up as keeps lines of text apart."""
    lines = list(places)
    for number in range(1, len(lines)):
        lines[number] = max(lines[number], lines[number - 1] + _LINE)
    limit = height
    for number in reversed(range(len(lines))):
        lines[number] = min(lines[number], limit)
        limit = lines[number] - _LINE
    return lines


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
