"""How good masks and scores are. Every formula has an id that is stored with its value.

==  =====================================================================================
B   mean over (image, class) of the IoU in that image: `MeanIoU`
A   mean over all classes of ΣI / max(ΣU, 1), sums over images: `ClassIoU.all_classes`
A'  the same over the classes that occurred: `ClassIoU.seen_classes`
AP  average precision of "is it there at all", over images: `average_precision`
==  =====================================================================================

They are different numbers for the same masks; never compare one with another. Accumulators hold
integers only, so merging them in any order or grouping gives the same value to the last bit.

Source: A as in HSNet (Min et al., ICCV 2021) and Matcher, A' as in SEGIC, B as in IPSeg's release.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ipseg.rows import Mask

_BITS = 64  # an IoU is kept as a whole number of 2**-64, far finer than a double needs


@dataclass(frozen=True)
class Counts:
    """Pixels that two masks share, and that at least one of them has.

    Attributes:
        intersection: pixels in both.
        union: pixels in either.
    """

    intersection: int = 0
    union: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.intersection <= self.union:
            raise ValueError(f"intersection {self.intersection} and union {self.union} disagree")

    @staticmethod
    def of(predicted: Mask, truth: Mask) -> Counts:
        """Count two (H, W) bool masks of the same image."""
        if predicted.shape != truth.shape:
            raise ValueError(f"masks of {predicted.shape} and {truth.shape} cannot be compared")
        shared = int(np.count_nonzero(predicted & truth))
        return Counts(shared, int(np.count_nonzero(predicted | truth)))

    @property
    def iou(self) -> float | None:
        """Intersection over union in [0, 1]; None, i.e. undefined, if both masks are empty."""
        return self.intersection / self.union if self.union else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.intersection + other.intersection, self.union + other.union)


@dataclass
class MeanIoU:
    """Formula B: the mean of the IoU over images, each image with the same weight.

    Floats added in another order give another last digit. So each IoU is rounded once, to a
    multiple of 2**-64, and the multiples are added as integers: exact in any order, and the mean
    is off by less than half a double's last digit.

    Attributes:
        total: sum of the IoUs in units of 2**-64.
        count: images in the sum.
    """

    total: int = 0
    count: int = 0

    def add(self, intersection: int, union: int) -> None:
        """Count one image; one with an empty union has no IoU and is left out."""
        counts = Counts(int(intersection), int(union))
        if counts.union:
            # Rounded to nearest, in integers.
            self.total += ((counts.intersection << (_BITS + 1)) + counts.union) // (
                2 * counts.union
            )
            self.count += 1

    def __add__(self, other: MeanIoU) -> MeanIoU:
        return MeanIoU(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float | None:
        """The mean in [0, 1], None over no image."""
        return self.total / (self.count << _BITS) if self.count else None


@dataclass
class ClassIoU:
    """Formulas A and A': pixels are summed for each class first, so large objects weigh more.

    Attributes:
        classes: summed counts of each class that occurred.
    """

    classes: dict[str, Counts] = field(default_factory=dict)

    def add(self, name: str, counts: Counts) -> None:
        """Count one image of one class."""
        self.classes[name] = self.classes.get(name, Counts()) + counts

    def __add__(self, other: ClassIoU) -> ClassIoU:
        merged = ClassIoU(dict(self.classes))
        for name, counts in other.classes.items():
            merged.add(name, counts)
        return merged

    def all_classes(self, names: Iterable[str]) -> float | None:
        """Formula A over these classes; one that never occurred counts as 0. None over none."""
        return _class_mean(self.classes, sorted(set(names)))

    @property
    def seen_classes(self) -> float | None:
        """Formula A' over the classes that occurred, None if none did."""
        return _class_mean(self.classes, sorted(self.classes))


def average_precision(
    scores: Sequence[float] | npt.NDArray[np.floating],
    present: Sequence[bool] | npt.NDArray[np.bool_],
) -> float | None:
    """Average precision (AP) of telling images that have a concept from those that don't.

    Args:
        scores: (n,) confidence that it is there, 0 where nothing was found.
        present: (n,) whether it is.

    Returns:
        Σ (R_n - R_n-1) P_n over the distinct scores, in (0, 1], not interpolated. None if it is in
        all the images or in none of them: there is nothing to tell apart.
    """
    from sklearn.metrics import average_precision_score

    truth = np.asarray(present, dtype=bool)
    if truth.all() or not truth.any():
        return None
    return float(average_precision_score(truth, np.asarray(scores, dtype=np.float64)))


def _class_mean(classes: Mapping[str, Counts], names: Sequence[str]) -> float | None:
    if not names:
        return None
    counts = [classes.get(name, Counts()) for name in names]
    # fsum rounds once, so the order of the classes does not matter.
    return math.fsum(each.intersection / max(each.union, 1) for each in counts) / len(names)
