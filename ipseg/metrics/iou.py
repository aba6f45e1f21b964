"""Means of IoUs that give the same value to the last bit in any order and grouping.

Source: formula B as in IPSeg's release.
"""

from __future__ import annotations

from dataclasses import dataclass

from ipseg.metrics.counts import Counts

_BITS = 64  # ratios are stored as multiples of 2**-64, much finer than a double


@dataclass
class ExactMean:
    """A mean of ratios, each with the same weight.

    Adding floats in another order changes the last digit. So each ratio is rounded once, to a
    multiple of 2**-64, and the multiples are added as integers: exact in any order, and the error
    of the mean is below half a unit in the last place of a double.

    Attributes:
        total: sum of the ratios in units of 2**-64.
        count: number of ratios.
    """

    total: int = 0
    count: int = 0

    def add_ratio(self, numerator: int, denominator: int) -> None:
        """Adds one ratio of non-negative integers; the denominator is above 0."""
        # Rounded to nearest, in integers.
        self.total += ((numerator << (_BITS + 1)) + denominator) // (2 * denominator)
        self.count += 1

    @property
    def value(self) -> float | None:
        """The mean; None without ratios."""
        return self.total / (self.count << _BITS) if self.count else None


class MeanIoU(ExactMean):
    """Formula B: the mean of the IoU over images, each image with the same weight, in [0, 1]."""

    def add(self, intersection: int, union: int) -> None:
        """Adds one image; one with an empty union has no IoU and is left out."""
        counts = Counts(int(intersection), int(union))
        if counts.union:
            self.add_ratio(counts.intersection, counts.union)

    def __add__(self, other: MeanIoU) -> MeanIoU:
        return MeanIoU(self.total + other.total, self.count + other.count)
