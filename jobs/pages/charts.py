"""Histograms as bars for inline SVG: places and heights, no drawing library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 20  # equal ones over [0, 1]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bar:
    """One bar of a chart of unit width and unit height.

    Attributes:
        x: left side, 0 to 1.
        height: 0 to 1.
        count: what it stands for.
        low, high: the range of values it counts.
    """

    x: float
    height: float
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Mirrored:
    """Two histograms on one axis, one upwards and one downwards."""

    up: list[Bar]
    down: list[Bar]
    up_total: int
    down_total: int


def no_counts() -> Counts:
    """(BINS,) zeros."""
    return np.zeros(BINS, np.int64)


def bin_of(value: float) -> int:
    """The bin of a value in [0, 1]; values beyond go to the bin at that end, NaN to the first."""
    return min(BINS - 1, int(value * BINS)) if value > 0 else 0


def histogram(counts: Counts) -> list[Bar]:
    """Bars for counts in equal bins over [0, 1], the largest of height 1; empty bins have none."""
    bins, largest = len(counts), int(counts.max())
    return [
        Bar(i / bins, int(counts[i]) / largest, int(counts[i]), i / bins, (i + 1) / bins)
        for i in range(bins)
        if counts[i]
    ]


def mirrored(up: Iterable[Counts], down: Iterable[Counts]) -> Mirrored:
    """Sums of histograms, the one against the other.

    Each side has its own scale: they can differ a hundredfold in number (few images have a given
    concept), and scores of absent concepts crowd at 0.
    """
    above, below = sum(up, no_counts()), sum(down, no_counts())
    return Mirrored(
        up=histogram(above),
        down=histogram(below),
        up_total=int(above.sum()),
        down_total=int(below.sum()),
    )
