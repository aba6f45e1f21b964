"""Several masks in one map, for formats in which a pixel belongs to one object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ipseg.vision.masks import RLE, decode_rle, rle_area


def painted(
    masks: Sequence[RLE], scores: Sequence[float], height: int, width: int
) -> npt.NDArray[np.int32]:
    """(H, W): for each pixel the number of its mask, counted from 1; 0 where there is none.

    Where masks overlap, the one with the higher score has the pixel, among equals the smaller.

    Args:
        masks: of (H, W).
        scores: of each.
        height: H, pixels.
        width: W, pixels.
    """
    canvas = np.zeros((height, width), np.int32)
    order = sorted(range(len(masks)), key=lambda n: (scores[n], -rle_area(masks[n]), -n))
    for number in order:
        canvas[decode_rle(masks[number])] = number + 1
    return canvas


def palette(colours: int = 256) -> npt.NDArray[np.uint8]:
    """(colours, 3) uint8 RGB: the colours of PASCAL VOC's maps; from 256 on they repeat.

    Bits 0, 3 and 6 of an index become the upper bits of red, 1, 4 and 7 of green, 2 and 5 of blue.
    """
    index = np.arange(colours, dtype=np.uint16)
    table = np.zeros((colours, 3), np.uint16)
    for bit in range(8):
        table[:, bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
    return table.astype(np.uint8)
