"""Outlines of two masks, and how much of each is near the other: the counts for DAVIS' F.

Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation" (CVPR 2016), section 4, with the approximation by dilation of its evaluation code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ipseg.metrics.counts import check_shapes
from ipseg.rows import Mask

REACH = 0.008  # of the image diagonal: the distance at which outlines still match


@dataclass(frozen=True)
class Boundary:
    """Pixels of two 1-px outlines, and those within reach of the other outline.

    The fields are named like the columns of results.

    Attributes:
        ground_truth_boundary: pixels on the outline of the ground truth.
        ground_truth_matched: those of them within reach of the prediction's outline.
        predicted_boundary: pixels on the outline of the prediction.
        predicted_matched: those of them within reach of the ground truth's outline.
    """

    ground_truth_boundary: int = 0
    ground_truth_matched: int = 0
    predicted_boundary: int = 0
    predicted_matched: int = 0

    def __post_init__(self) -> None:
        if not (
            0 <= self.ground_truth_matched <= self.ground_truth_boundary
            and 0 <= self.predicted_matched <= self.predicted_boundary
        ):
            raise ValueError(f"inconsistent pixel counts: {self}")

    @staticmethod
    def of(predicted: Mask, ground_truth: Mask, ignore: Mask | None = None) -> Boundary:
        """Compares the outlines of two (H, W) bool masks of the same image.

        Args:
            predicted: (H, W) bool.
            ground_truth: (H, W) bool.
            ignore: (H, W) bool, pixels that are removed from both masks before their outlines are
                computed.

        Raises:
            ValueError: the shapes differ.
        """
        check_shapes(predicted, ground_truth, ignore)
        radius = reach(*ground_truth.shape)
        if ignore is not None:
            predicted, ground_truth = predicted & ~ignore, ground_truth & ~ignore
        found, true = outline(predicted), outline(ground_truth)
        return Boundary(
            ground_truth_boundary=int(np.count_nonzero(true)),
            ground_truth_matched=_near(true, found, radius),
            predicted_boundary=int(np.count_nonzero(found)),
            predicted_matched=_near(found, true, radius),
        )

    @property
    def f(self) -> float:
        """F in [0, 1]: the harmonic mean of precision and recall of the outline.

        1 if neither mask has an outline, 0 if only one of them has.
        """
        if not self.ground_truth_boundary and not self.predicted_boundary:
            return 1.0
        # 2PR / (P + R) as a single fraction.
        below = (
            self.predicted_matched * self.ground_truth_boundary
            + self.ground_truth_matched * self.predicted_boundary
        )
        return 2 * self.predicted_matched * self.ground_truth_matched / max(below, 1)


def reach(height: int, width: int) -> int:
    """Distance in pixels at which outlines still match: 0.8 % of the diagonal, rounded up."""
    return math.ceil(REACH * math.hypot(height, width))


def outline(mask: Mask) -> Mask:
    """(H, W) bool: pixels that differ from a neighbour to the right, below, or diagonally.

    So the line is one pixel wide and half a pixel above and left of the true border. The image
    border is replicated: there is no line along it.
    """
    right, below, both = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    both[:-1] = right[1:]
    both[-1] = right[-1]
    return np.asarray((mask ^ right) | (mask ^ below) | (mask ^ both))


def _near(line: Mask, other: Mask, radius: int) -> int:
    """Number of pixels of one line in discs around those of the other."""
    import cv2
    from skimage.morphology import disk

    if not line.any() or not other.any():
        return 0
    rows, columns = (np.flatnonzero((line | other).any(axis=axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grown = cv2.dilate(other[window].astype(np.uint8), disk(radius))
    return int(np.count_nonzero(line[window] & (grown > 0)))
