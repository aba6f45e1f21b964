"""The outline that the instances of a crowd share, and masks of instances by it.

Not in PerSense: its segmenter outlines each instance by itself. Without learned weights, the sizes
that a counter knows and the outline of an exemplar say more than the colours around a point.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Image, Map, Mask
from ipseg.saliency.foreground import grabcut, overlap
from ipseg.segmenters.refinement import Box, tight_box
from ipseg.vision.masks import RLE, decode_rle, encode_rle

_GRID = 64  # cells of a shape along each side of its box
_SIDE = 48  # pixels to which the longer side of an instance is reduced where it is fitted
_AROUND = 0.3  # of the sides of an instance: what is looked at beside it
_CERTAIN = 0.12  # of its shorter side: pixels so far from the outline stay as they are
_LEAST = 0.7  # IoU of what is fitted with the shape; below, the shape is better


def shape_of(masks: Sequence[Mask]) -> RLE:
    """What most masks have in common, each brought to the same square over its tight box.

    Args:
        masks: (H, W) each, none empty.
    """
    return encode_rle(np.mean([_on_grid(mask) for mask in masks], axis=0) >= 0.5)


def _on_grid(mask: Mask) -> Map:
    box = tight_box(mask)
    if box is None:
        raise ValueError("an empty mask has no shape")
    x0, y0, x1, y1 = box.astype(int)
    part = mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.float32)
    return np.asarray(cv2.resize(part, (_GRID, _GRID), interpolation=cv2.INTER_LINEAR), np.float32)


def outlined(image: Image, shape: RLE, box: Box) -> tuple[Mask, float]:
    """The mask of an instance: a shape at the size of its box, fitted to the image near its edge.

    Args:
        image: (H, W, 3) uint8.
        shape: from `shape_of`.
        box: x, y, x, y of the first and last column and row; may reach beyond the image.

    Returns:
        (H, W) mask, empty if the box lies beyond the image, and how well shape and image agree:
        their IoU in [0, 1].
    """
    height, width = image.shape[:2]
    sides = np.maximum(box[2:] - box[:2] + 1, 1.0)
    low = np.clip(np.floor(box[:2] - _AROUND * sides), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(box[2:] + 1 + _AROUND * sides), 0, (width, height)).astype(int)
    mask = np.zeros((height, width), bool)
    if (high <= low).any():
        return mask, 0.0
    window = image[low[1] : high[1], low[0] : high[0]]
    scale = min(1.0, _SIDE / float(sides.max()))
    columns, rows = (max(1, round(scale * int(n))) for n in high - low)
    soft = _placed(decode_rle(shape), (rows, columns), (box[:2] - low) * scale, sides * scale)
    small = cv2.resize(window, (columns, rows), interpolation=cv2.INTER_AREA)
    start = soft > 0.5
    fitted = grabcut(np.asarray(small, np.uint8), soft, band=0.49, iterations=2)
    agreement = overlap(start, fitted)
    kept = fitted if agreement >= _LEAST else start
    found = cv2.resize(kept.astype(np.float32), (int(high[0] - low[0]), int(high[1] - low[1])))
    mask[low[1] : high[1], low[0] : high[0]] = np.asarray(found) >= 0.5
    return mask, agreement


def _placed(
    shape: Mask,
    window: tuple[int, int],
    low: npt.NDArray[np.float64],
    sides: npt.NDArray[np.float64],
) -> Map:
    """A shape in a window: 0.5 at its outline, 0 and 1 where that is far: (h, w) float32.

    Args:
        shape: on its grid.
        window: h, w.
        low: x, y of the first corner of its box in the window.
        sides: width, height of its box.
    """
    factor = sides / _GRID
    shift = low + factor / 2 - 0.5  # cells and pixels are counted from their centres
    matrix = np.array([[factor[0], 0, shift[0]], [0, factor[1], shift[1]]])
    placed: npt.NDArray[np.float32] = np.asarray(
        cv2.warpAffine(shape.astype(np.float32), matrix, (window[1], window[0])), np.float32
    )
    inside = np.pad((placed >= 0.5).astype(np.uint8), 1)
    deep, far = (cv2.distanceTransform(each, cv2.DIST_L2, 3) for each in (inside, 1 - inside))
    signed = (np.asarray(deep) - np.asarray(far))[1:-1, 1:-1]
    limit = max(1.0, _CERTAIN * float(sides.min()))
    return np.clip(0.5 + signed / (2 * limit), 0, 1).astype(np.float32)
