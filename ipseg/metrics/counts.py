"""Pixels of one comparison of two masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipseg.rows import Mask


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
    def of(predicted: Mask, ground_truth: Mask) -> Counts:
        """Count two (H, W) bool masks of the same image."""
        check_shapes(predicted, ground_truth)
        shared = int(np.count_nonzero(predicted & ground_truth))
        return Counts(shared, int(np.count_nonzero(predicted | ground_truth)))

    @property
    def iou(self) -> float | None:
        """Intersection over union in [0, 1]; None, i.e. undefined, if both masks are empty."""
        return self.intersection / self.union if self.union else None


@dataclass(frozen=True)
class Region:
    """All that formulas on regions need of one comparison.

    The fields have the names of the columns they are stored in. Pixels that are not judged are in
    none of them.

    Attributes:
        pixels: judged pixels of the image.
        intersection: pixels in both masks.
        union: pixels in either.
        ground_truth: pixels of the ground truth.
        predicted: pixels of the prediction.
    """

    pixels: int = 0
    intersection: int = 0
    union: int = 0
    ground_truth: int = 0
    predicted: int = 0

    def __post_init__(self) -> None:
        smaller, larger = sorted([self.ground_truth, self.predicted])
        if (
            not 0 <= self.intersection <= smaller <= larger <= self.union <= self.pixels
            or self.intersection + self.union != self.ground_truth + self.predicted
        ):
            raise ValueError(f"these numbers of pixels disagree: {self}")

    @staticmethod
    def of(predicted: Mask, ground_truth: Mask, ignore: Mask | None = None) -> Region:
        """Count two (H, W) bool masks of the same image.

        Args:
            predicted: (H, W) bool.
            ground_truth: (H, W) bool.
            ignore: (H, W) bool, pixels that are not judged, whatever the masks say of them.

        Raises:
            ValueError: the shapes differ.
        """
        check_shapes(predicted, ground_truth, ignore)
        pixels = int(ground_truth.size)
        if ignore is not None:
            judged = ~ignore
            predicted, ground_truth = predicted & judged, ground_truth & judged
            pixels = int(np.count_nonzero(judged))
        shared = int(np.count_nonzero(predicted & ground_truth))
        inside, found = int(np.count_nonzero(ground_truth)), int(np.count_nonzero(predicted))
        return Region(pixels, shared, inside + found - shared, inside, found)


def check_shapes(predicted: Mask, ground_truth: Mask, ignore: Mask | None = None) -> None:
    """Refuses masks that are not of the same image.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != ground_truth.shape:
        raise ValueError(f"masks of {predicted.shape} and {ground_truth.shape} cannot be compared")
    if ignore is not None and ignore.shape != ground_truth.shape:
        raise ValueError(
            f"pixels to ignore of {ignore.shape} do not fit masks of {ground_truth.shape}"
        )
