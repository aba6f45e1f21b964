"""Grid cells and pixels: the one place where they are turned into each other.

Pixel coordinates: x to the right, y down, the centre of the first pixel is (0.5, 0.5), so an image
spans [0, width] x [0, height]. A grid of (gh, gw) cells covers the whole image; cell coordinates
are column and row, and cell (x, y) has its centre at (x + 0.5, y + 0.5) cells from the corner.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]  # (n, 2) x, y


def grid_shape(width: int, height: int, long_side: int, *, square: bool) -> tuple[int, int]:
    """How many cells cover an image.

    Args:
        width: pixels, >= 1.
        height: pixels, >= 1.
        long_side: cells along the longer side, >= 1.
        square: the same number of cells along both sides (cells are then as oblong as the image);
            otherwise cells are square, as nearly as a whole number of them allows.

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
    """Pixel coordinates of cells (n, 2), given as x, y; fractions of a cell are allowed."""
    rows, columns = grid
    scale = np.array([width / columns, height / rows])
    return np.asarray((np.asarray(cells) + 0.5) * scale, dtype=np.float32)


def resize_map(
    values: npt.NDArray[np.float32],
    shape: tuple[int, int],
    how: Literal["bilinear", "nearest", "area"] = "bilinear",
) -> npt.NDArray[np.float32]:
    """Stretch a map over another grid so that both cover the same image (centres aligned).

    Args:
        values: (h, w) float32.
        shape: (rows, columns) wanted, both >= 1.
        how: `bilinear` and `nearest` sample at the new centres. `area` gives each new cell the
            mean over what it covers, along the axes that become shorter; the others are bilinear.

    Returns:
        (rows, columns) float32; the input itself, not a copy, where the shape is already right.
    """
    source = np.ascontiguousarray(values, dtype=np.float32)
    if source.shape == shape:
        return source
    if how == "area":
        # One axis at a time: asked to shrink one and enlarge the other, OpenCV does not average.
        for rows, columns in ((shape[0], source.shape[1]), shape):
            shrinks = rows < source.shape[0] or columns < source.shape[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            source = _map(cv2.resize(source, (columns, rows), interpolation=interpolation))
        return source
    interpolation = cv2.INTER_LINEAR if how == "bilinear" else cv2.INTER_NEAREST_EXACT
    return _map(cv2.resize(source, (shape[1], shape[0]), interpolation=interpolation))


def _map(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)
