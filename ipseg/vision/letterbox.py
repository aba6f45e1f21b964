"""The square canvas for networks, and mapping its feature grids back to the image.

An image is fitted into a black square; of the square feature grid, the band with the image is
resized to a square grid of cells again, so that the cells cover only the image.

Source: released IPSeg code (`ipseg_fss.py`) and sd-dino, including rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from ipseg.rows import Image, Map

Indices = npt.NDArray[np.int64]


def letterbox(image: Image, side: int) -> Image:
    """Fits an image into a black square, centred, keeping its aspect ratio.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: pixels of the square, >= 1.

    Returns:
        (side, side, 3) uint8 RGB; Lanczos-resampled.
    """
    height, width = image.shape[:2]
    # Halves are rounded to even, as in numpy and the published code.
    short = max(1, round(side * min(height, width) / max(height, width)))
    columns, rows = (side, short) if height <= width else (short, side)
    resized = PillowImage.fromarray(image).resize((columns, rows), PillowImage.Resampling.LANCZOS)
    canvas = np.zeros((side, side, 3), np.uint8)
    top, left = (side - rows) // 2, (side - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.asarray(resized)
    return canvas


def kept_band(width: int, height: int, n: int) -> tuple[int, int, int, int]:
    """The part of an n x n feature grid of a letterboxed image that covers the image.

    The published rule including rounding: the division is in floating point, and bands with odd and
    even padding differ by one cell, so that grids of several sizes are not exactly aligned. If the
    rule gives an empty band (the image is much longer than n times its width), it is the middle.

    Args:
        width: pixels of the image, before letterboxing.
        height: pixels of the image.
        n: cells along each side of the grid.

    Returns:
        (first row, end row, first column, end column).
    """
    cell_width, cell_height = width / n, height / n
    top = left = 0
    if cell_width > cell_height:
        top = (n - max(1, int(height / cell_width))) // 2
    elif cell_width < cell_height:
        left = (n - max(1, int(width / cell_height))) // 2
    return top, n - top, left, n - left


def nearest_indices(size: int, count: int) -> Indices:
    """Nearest-neighbour indices into `size` cells for each of `count` cells: (count,).

    Scale and product are in float32, as in torch's nearest interpolation: in float64, or exactly,
    some products are on the other side of an integer.
    """
    source = np.floor(np.arange(count, dtype=np.float32) * np.float32(size / count))
    return np.minimum(source.astype(np.int64), size - 1)


def source_cells(width: int, height: int, n: int, cells: int) -> tuple[Indices, Indices]:
    """Rows and columns of the n x n grid for those of the grid without padding.

    Args:
        width: pixels of the image, before letterboxing.
        height: pixels of the image.
        n: cells along each side of the letterboxed grid.
        cells: rows and columns of the grid without padding.

    Returns:
        Two (cells,) arrays: `grid[rows][:, columns]` is the grid without padding.
    """
    top, bottom, left, right = kept_band(width, height, n)
    rows = top + nearest_indices(bottom - top, cells)
    columns = left + nearest_indices(right - left, cells)
    return rows, columns


def mask_on_cells(mask: Map, cells: int) -> Map:
    """A mask (H, W) of an image, resized to cells x cells by nearest neighbour."""
    rows, columns = (nearest_indices(size, cells) for size in mask.shape)
    return mask[rows][:, columns]
