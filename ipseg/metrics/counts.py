"""Pixel counts of a comparison of two masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipseg.rows import Mask


@dataclass(frozen=True)
class Counts:
    """Intersection and union of two masks.

    Attributes:
        intersection: pixels in both.
        union: pixels in either.
    """

    intersection: int = 0
    union: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.intersection <= self.union:
            raise ValueError(f"inconsistent intersection {self.intersection}, union {self.union}")

    @staticmethod
    def of(predicted: Mask, ground_truth: Mask) -> Counts:
        """Counts two (H, W) bool masks of the same image."""
        region = Region.of(predicted, ground_truth)
        return Counts(region.intersection, region.union)

    @property
    def iou(self) -> float | None:
        """Intersection over union in [0, 1]; None (undefined) if both masks are empty."""
        return self.intersection / self.union if self.union else None


@dataclass(frozen=True)
class Region:
    """The counts that region formulas need, without ignored pixels.

    The fields are named like the columns of results.

    Attributes:
        pixels: pixels of the image that are evaluated.
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
            raise ValueError(f"inconsistent pixel counts: {self}")

    @staticmethod
    def of(predicted: Mask, ground_truth: Mask, ignore: Mask | None = None) -> Region:
        """Counts two (H, W) bool masks of the same image.

        Args:
            predicted: (H, W) bool.
            ground_truth: (H, W) bool.
            ignore: (H, W) bool, pixels that are not evaluated, whatever their values in the masks.

        Raises:
            ValueError: the shapes differ.
        """
        check_shapes(predicted, ground_truth, ignore)
        pixels = int(ground_truth.size)
        if ignore is not None:
            evaluated = ~ignore
            predicted, ground_truth = predicted & evaluated, ground_truth & evaluated
            pixels = int(np.count_nonzero(evaluated))
        shared = int(np.count_nonzero(predicted & ground_truth))
        inside, found = int(np.count_nonzero(ground_truth)), int(np.count_nonzero(predicted))
        return Region(pixels, shared, inside + found - shared, inside, found)


def check_shapes(predicted: Mask, ground_truth: Mask, ignore: Mask | None = None) -> None:
    """Refuses masks of different shapes.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != ground_truth.shape:
        raise ValueError(f"masks of {predicted.shape} and {ground_truth.shape} cannot be compared")
    if ignore is not None and ignore.shape != ground_truth.shape:
        raise ValueError(
            f"pixels to ignore of {ignore.shape} do not fit masks of {ground_truth.shape}"
        )
