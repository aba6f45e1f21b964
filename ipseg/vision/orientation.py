"""How stored pixels are turned to be upright: EXIF orientation, 1 to 8."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags
from PIL import Image as PillowImage

# Exceptions of Pillow's readers for malformed data. Mutated files of all formats raised those of
# the first two lines; the rest is caught by Pillow itself (AttributeError: asserts in python -O).
MALFORMED = (
    *(OSError, SyntaxError, ValueError, TypeError, RuntimeError, AssertionError),
    PillowImage.DecompressionBombError,
    *(EOFError, LookupError, AttributeError, OverflowError, struct.error, zlib.error),
)

_TURN: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}
_BACK = {6: 8, 8: 6}  # the others undo themselves


def turn(stored: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """(H, W, ...) pixels as they are stored, made upright; a view.

    Args:
        stored: (H, W, ...).
        orientation: of EXIF; 1, or an unknown number, leaves them as they are.
    """
    return _TURN[orientation](stored) if orientation in _TURN else stored


def turn_back(upright: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The inverse of `turn`."""
    return turn(upright, _BACK.get(orientation, orientation))


def cropped(
    upright: npt.NDArray[Any], box: Sequence[int] | None, orientation: int
) -> npt.NDArray[Any]:
    """A part of (H, W, ...) upright pixels, upright itself; a view.

    Args:
        upright: the whole.
        box: x0, y0, x1, y1 in pixels as they are stored; None for the whole.
        orientation: of EXIF.
    """
    if box is None:
        return upright
    x0, y0, x1, y1 = box
    return turn(turn_back(upright, orientation)[y0:y1, x0:x1], orientation)


def exif_orientation(image: PillowImage.Image) -> int:
    """The orientation that EXIF or XMP names, 1 to 8; 1 where they are missing or damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MALFORMED:  # does not make the image unusable
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TURN else 1
