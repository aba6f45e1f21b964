"""Means of IoUs that merge in any order and grouping, to the last bit: they hold integers only.

Source: formula B as in IPSeg's release.
"""

from __future__ import annotations

from dataclasses import dataclass

from ipseg.metrics.counts import Counts

_BITS = 64  # a ratio is kept as a whole number of 2**-64, far finer than a double needs


@dataclass
class ExactMean:
    """A mean of ratios, each with the same weight.

    Floats added in another order give another last digit. So each ratio is rounded once, to a
    multiple of 2**-64, and the multiples are added as integers: exact in any order, and the mean
    is off by less than half a double's last digit.

    Attributes:
        total: sum of the ratios in units of 2**-64.
        count: ratios in the sum.
    """

    total: int = 0
    count: int = 0

    def add_ratio(self, numerator: int, denominator: int) -> None:
        """Count one ratio of non-negative integers; the denominator is above 0."""
        # Rounded to nearest, in integers.
        self.total += ((numerator << (_BITS + 1)) + denominator) // (2 * denominator)
        self.count += 1

    @property
    def value(self) -> float | None:
        """The mean, None over nothing."""
        return self.total / (self.count << _BITS) if self.count else None

    def __add__(self, other: ExactMean) -> ExactMean:
        return ExactMean(self.total + other.total, self.count + other.count)


class MeanIoU(ExactMean):
    """Formula B: the mean of the IoU over images, each image with the same weight, in [0, 1]."""

    def add(self, intersection: int, union: int) -> None:
        """Count one image; one with an empty union has no IoU and is left out."""
        counts = Counts(int(intersection), int(union))
        if counts.union:
            self.add_ratio(counts.intersection, counts.union)

    def __add__(self, other: ExactMean) -> MeanIoU:
        return MeanIoU(self.total + other.total, self.count + other.count)
