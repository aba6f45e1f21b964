"""From a soft map to a clean object mask: threshold, GrabCut, small components and holes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from ipseg.rows import Image, Map, Mask

_BINS = 256
_SMALLEST = 0.1  # components smaller than this share of the largest one are removed


def otsu(values: npt.NDArray[np.floating]) -> float:
    """Otsu's threshold (IEEE Trans. SMC, 1979), which minimises the variance within both sides.

    Args:
        values: any shape, finite.

    Returns:
        The threshold, in the unit of `values`; for constant values that constant.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    low, high = float(flat.min()), float(flat.max())
    if high - low < 1e-9:
        return low
    # scikit-image gives the middle of a bin; this is its end.
    return float(threshold_otsu(flat, nbins=_BINS)) + (high - low) / (2 * _BINS)


def grabcut(
    image: Image,
    probability: Map,
    *,
    threshold: float = 0.5,
    band: float = 0.35,
    iterations: int = 2,
) -> Mask:
    """Fits the outline of a soft map to the colours of the image (GrabCut, Rother et al., 2004).

    Args:
        image: (h, w, 3) uint8 RGB.
        probability: (h, w) in [0, 1] that a pixel is object.
        threshold: pixels above it start as object.
        band: pixels above `threshold + band` stay object, those below `threshold * band` stay
            background.
        iterations: rounds of colour models and graph cut.

    Returns:
        (h, w) bool; `probability > threshold` if one side has too few pixels for a colour model.
    """
    start = probability > threshold
    labels = np.where(start, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probability > min(0.95, threshold + band)] = cv2.GC_FGD
    labels[probability < threshold * band] = cv2.GC_BGD
    if min(int(start.sum()), int((~start).sum())) < 16:
        return start
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 1, 1)  # ignored when a mask is given
    cv2.grabCut(bgr, labels, no_box, *models, iterations, cv2.GC_INIT_WITH_MASK)
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def clean(mask: Mask) -> Mask:
    """3 x 3 opening, removal of components below a tenth of the largest, and hole filling.

    The opening is skipped if it would erase the mask.
    """
    square = np.ones((3, 3), dtype=np.uint8)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, square)
    if not opened.any():
        opened = mask.astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if len(areas) == 0:
        return mask
    kept = np.concatenate([[False], areas >= _SMALLEST * areas.max()])
    filled = kept[parts].astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED).astype(bool)


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks, in [0, 1]; 0 if both are empty."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 0.0


def solidity(mask: Mask) -> float:
    """Area of a mask divided by that of its convex hull, in [0, 1]; 1 for an empty mask."""
    if not mask.any():
        return 1.0
    points = cv2.findNonZero(mask.astype(np.uint8))
    hull = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(np.count_nonzero(mask) / np.count_nonzero(hull))
