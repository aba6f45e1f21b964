"""Masks that are too large to be one instance: the mask rejection of PerSense++ (IMRM).

Source: PerSense++ (arXiv 2508.14660), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from ipseg.crowd import Boxes
from ipseg.objects import Object

_LEAST_IOU = 0.8  # of a large mask's box with one that has the name of a single object
_SEED = 0


def largest_usual(areas: npt.NDArray[np.float64]) -> float:
    """The area up to which a mask is taken for one instance, pixels.

    As released, the sum of two limits, so that only extreme areas are above it: mean + 2 deviations
    of the larger of two clusters, and the third quartile + 2 interquartile ranges of all.

    Args:
        areas: (n,) pixels, n >= 2.
    """
    if np.ptp(areas) == 0:
        return float(areas[0])
    labels = KMeans(n_clusters=2, random_state=_SEED, n_init=10).fit_predict(areas[:, None])
    usual = areas[labels == np.bincount(labels, minlength=2).argmax()]
    first, third = np.percentile(areas, [25, 75])
    return float(usual.mean() + 2 * usual.std() + third + 2 * (third - first))


def independent(boxes: Boxes) -> Boxes:
    """Those of (m, 4) boxes, cut to whole pixels, that contain no other; none of less than two."""
    whole = np.trunc(boxes)
    if len(whole) < 2:
        return whole[:0]
    low = (whole[:, None, :2] <= whole[None, :, :2]).all(axis=2)
    high = (whole[:, None, 2:] >= whole[None, :, 2:]).all(axis=2)
    contains = low & high & ~np.eye(len(whole), dtype=bool)
    return np.asarray(whole[~contains.any(axis=1)])


def without_merged(found: Sequence[Object], named: Boxes | None) -> list[Object]:
    """The instances without those that hold several.

    Args:
        found: of one concept in one image.
        named: (m, 4) boxes x, y, x, y of single objects with the concept's name; None for none.

    Returns:
        In their order: masks of usual areas, and larger ones that agree with a box.
    """
    if len(found) < 2:
        return list(found)
    areas = np.array([each.area for each in found], np.float64)
    limit = largest_usual(areas)
    boxes = independent(np.zeros((0, 4)) if named is None else named)
    return [
        each
        for each, area in zip(found, areas, strict=True)
        if area <= limit or _agrees(each, boxes)
    ]


def _agrees(found: Object, boxes: Boxes) -> bool:
    x, y, width, height = found.bbox
    own = np.array([x, y, x + width - 1, y + height - 1])
    shared = np.minimum(own[2:], boxes[:, 2:]) - np.maximum(own[:2], boxes[:, :2])
    both = np.clip(shared, 0, None).prod(axis=1)
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (own[2:] - own[:2]).prod() - both
    return bool((both >= _LEAST_IOU * sizes).any())
