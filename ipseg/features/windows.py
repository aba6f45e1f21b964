"""Square windows over a square canvas, and merging their feature grids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def window_starts(size: int, crop: int) -> list[tuple[int, int]]:
    """Upper left corners (y, x) of the fewest windows that cover the canvas, in reading order.

    Windows do not overlap, except that the last of each row and column is moved back to end with
    the canvas: 960 pixels and windows of 512 give 0 and 448.

    Args:
        size: side of the canvas.
        crop: side of a window, <= size.
    """
    along = [min(start, size - crop) for start in range(0, size, crop)]
    return [(y, x) for y in along for x in along]


def paste(
    grids: Sequence[Tensor], starts: Sequence[tuple[int, int]], size: int, crop: int
) -> Tensor:
    """One grid over the canvas, averaged where windows overlap.

    Args:
        grids: (c, g, g) for each window, g cells across `crop`.
        starts: (y, x) of each window, on borders between cells.
        size: side of the canvas, a whole number of cells.
        crop: side of a window.

    Returns:
        (c, n, n), n = size * g / crop.
    """
    channels, cells, _ = grids[0].shape
    side = size * cells // crop
    total = grids[0].new_zeros(channels, side, side)
    count = grids[0].new_zeros(side, side)
    for grid, (y, x) in zip(grids, starts, strict=True):
        row, column = y * cells // crop, x * cells // crop
        total[:, row : row + cells, column : column + cells] += grid
        count[row : row + cells, column : column + cells] += 1
    return torch.div(total, count)
