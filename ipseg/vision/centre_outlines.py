"""One outline for a whole mask, through the centres of its pixels, as readers of YOLO fill it.

These readers cut coordinates down to integers and fill a polygon with its border. One line holds
one polygon, so that holes and parts are joined by double lines.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Mask
from ipseg.vision.outlines import Ring, bridged

OFFSET = 0.25  # pixels: cut down or rounded, a coordinate becomes the pixel that was meant
_FEWEST = 3  # points of a polygon


def centre_parts(mask: Mask) -> list[Ring]:
    """One outline for each part of an (H, W) bool mask, its holes joined to it.

    Pixels that touch by a corner are in one part. An outline has at least three points: those of a
    pixel or a line are repeated.
    """
    contours, tree = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    outlines = []
    for number, contour in enumerate(contours):
        if tree[0, number, 3] >= 0:  # a hole; its parent has it
            continue
        holes, hole = [], int(tree[0, number, 2])
        while hole >= 0:
            holes.append(_points(contours[hole]))
            hole = int(tree[0, hole, 0])
        outline = bridged(_points(contour), holes)
        if (lacking := _FEWEST - len(outline)) > 0:
            outline = np.concatenate([outline, np.repeat(outline[-1:], lacking, axis=0)])
        outlines.append(outline)
    return outlines[::-1]  # from top to bottom


def _points(contour: npt.NDArray[Any]) -> Ring:
    return np.asarray(contour[:, 0], np.int64)


def centre_outline(mask: Mask) -> Ring:
    """(n, 2) x, y in pixels: one closed line around all of an (H, W) bool mask that is not empty.

    Raises:
        ValueError: it is empty.
    """
    parts = centre_parts(mask)
    if not parts:
        raise ValueError("an empty mask has no outline")
    return bridged(parts[0], parts[1:])


def relative(outline: Ring, width: int, height: int) -> npt.NDArray[np.float64]:
    """(n, 2) x, y as shares of the image's sides, moved by `OFFSET`."""
    return (outline + OFFSET) / (width, height)
