"""The objects of one class in a mask, and which masks found them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Mask

GOOD = 0.5  # least IoU of a mask that found an object


def separate(mask: Mask, numbers: npt.NDArray[np.integer] | None = None) -> list[Mask]:
    """The objects in a mask.

    Args:
        mask: (H, W) bool, all of them.
        numbers: (H, W) the file as a label map. It numbers objects if its values are 1, 2 ... n
            for n of at least 2; grey levels of smoothed outlines do not look like that.

    Returns:
        (H, W) bool each: by number, else the connected pieces (8 neighbours).
    """
    if numbers is not None and numbers.shape == mask.shape:
        values = np.unique(numbers[mask])
        if len(values) > 1 and np.array_equal(values, np.arange(1, len(values) + 1)):
            return [np.asarray(numbers == value) for value in values]
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [np.asarray(pieces == number) for number in range(1, count)]


def found(ranked: Sequence[Mask], objects: Sequence[Mask]) -> list[bool]:
    """Whether each mask finds an object (IoU of at least 0.5) that none before it has found.

    Args:
        ranked: (H, W) bool masks, the one with the highest score first.
        objects: (H, W) bool masks of what there is.
    """
    left = list(objects)
    good = []
    for mask in ranked:
        ious = [iou(mask, each) for each in left]
        best = int(np.argmax(ious)) if ious else -1
        hit = best >= 0 and ious[best] >= GOOD
        if hit:
            del left[best]
        good.append(hit)
    return good


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two (H, W) bool masks; 0 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0
