"""Conversion between grid cells and pixels.

Pixel coordinates: x to the right, y down, the centre of the first pixel is (0.5, 0.5), so an image
spans [0, width] x [0, height]. A grid of (gh, gw) cells covers the whole image; cell coordinates
are column and row, and the centre of cell (x, y) is (x + 0.5, y + 0.5) cells from the corner.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]  # (n, 2) x, y


def grid_shape(width: int, height: int, long_side: int, *, square: bool) -> tuple[int, int]:
    """The number of cells that cover an image.

    Args:
        width: pixels, >= 1.
        height: pixels, >= 1.
        long_side: cells along the longer side, >= 1.
        square: the same number of cells along both sides (cells then have the aspect ratio of the
            image); otherwise cells are square up to rounding.

    Returns:
        (rows, columns), both at least 1.
    """
    if square:
        return long_side, long_side
    longest = max(width, height)
    rows = max(1, round(height * long_side / longest))
    columns = max(1, round(width * long_side / longest))
    return rows, columns


def cell_centres(cells: npt.NDArray[Any], grid: tuple[int, int], width: int, height: int) -> Points:
    """Pixel coordinates of the centres of cells (n, 2) x, y; fractions are allowed."""
    rows, columns = grid
    scale = np.array([width / columns, height / rows])
    return np.asarray((np.asarray(cells) + 0.5) * scale, dtype=np.float32)


def resize_map(
    values: npt.NDArray[np.float32],
    shape: tuple[int, int],
    how: Literal["bilinear", "nearest", "area"] = "bilinear",
) -> npt.NDArray[np.float32]:
    """Resizes a map to another grid over the same image (corners aligned).

    Args:
        values: (h, w) float32.
        shape: new (rows, columns), both >= 1.
        how: `bilinear` and `nearest` sample at the new centres. `area` averages over each new cell
            along axes that become shorter; other axes are bilinear.

    Returns:
        (rows, columns) float32; the input itself, not a copy, if it has that shape already.
    """
    source = np.ascontiguousarray(values, dtype=np.float32)
    if source.shape == shape:
        return source
    if how == "area":
        # One axis at a time: OpenCV does not average if one shrinks and the other grows.
        for rows, columns in ((shape[0], source.shape[1]), shape):
            shrinks = rows < source.shape[0] or columns < source.shape[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            source = _map(cv2.resize(source, (columns, rows), interpolation=interpolation))
        return source
    interpolation = cv2.INTER_LINEAR if how == "bilinear" else cv2.INTER_NEAREST_EXACT
    return _map(cv2.resize(source, (shape[1], shape[0]), interpolation=interpolation))


def _map(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)
