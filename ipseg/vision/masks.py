"""Masks as COCO run-length encodings, and saliency maps as PNG files."""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from ipseg.errors import ImageError
from ipseg.rows import Map, Mask
from ipseg.vision.images import ImageLimits, open_image

_MAX_PIXELS = 2**31 - 1
_MAX_DIGITS = 7  # of 5 bits: enough for any run in _MAX_PIXELS
_ANY_SIZE = ImageLimits(min_side=1, max_aspect=float("inf"))


class RLE(TypedDict):
    """A mask in COCO's compressed form.

    Attributes:
        size: [height, width].
        counts: run lengths down the columns, zeros first, in COCO's ASCII code.
    """

    size: list[int]
    counts: str


def encode_rle(mask: Mask) -> RLE:
    """Encodes an (H, W) bool mask."""
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"a mask is (H, W) bool, not {mask.shape} {mask.dtype}")
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def decode_rle(rle: RLE) -> Mask:
    """The (H, W) bool mask of an encoding.

    Raises:
        ValueError: the encoding is damaged: the size is not two positive numbers, the text is not
            COCO's code, or the runs do not fill the mask exactly.
    """
    runs = _checked_runs(rle)
    height, width = rle["size"]
    # Not pycocotools' decode, which warns on every call with numpy 2; the runs are known already.
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def rle_area(rle: RLE) -> int:
    """Number of pixels in the mask. Raises ValueError as `decode_rle` does."""
    return int(_checked_runs(rle)[1::2].sum())


def rle_bbox(rle: RLE) -> list[float]:
    """[x, y, width, height] of the mask in pixels, zeros if empty. Raises ValueError as above."""
    _checked_runs(rle)  # pycocotools does not check bounds
    encoded = {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].encode("ascii")}
    return [float(v) for v in coco.toBbox(encoded)]


def _checked_runs(rle: RLE) -> npt.NDArray[np.int64]:
    size = [int(n) for n in rle["size"]]
    if len(size) != 2 or min(size) < 1 or size[0] * size[1] > _MAX_PIXELS:
        raise ValueError(f"RLE size {size} is not [height, width] of a mask")
    runs = _run_lengths(rle["counts"])
    if runs.min() < 0 or int(runs.sum()) != size[0] * size[1]:
        raise ValueError(
            f"RLE runs do not fill the mask: they sum to {int(runs.sum())}, "
            f"the mask has {size[0]} x {size[1]} pixels"
        )
    return runs


def _run_lengths(counts: str) -> npt.NDArray[np.int64]:
    """Run lengths from COCO's code: 5 bits per character, low first; deltas to two runs before."""
    if not isinstance(counts, str) or not counts or not counts.isascii():
        raise ValueError("RLE counts are empty or not ASCII text")
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if digits.min() < 0 or digits.max() > 63:
        raise ValueError("RLE counts contain a character outside of COCO's code")
    last = (digits & 32) == 0
    if not last[-1]:
        raise ValueError("RLE counts are truncated in the middle of a number")
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    lengths = np.diff(np.append(starts, len(digits)))
    if lengths.max() > _MAX_DIGITS:
        raise ValueError("RLE counts contain a number that is too long")
    shift = 5 * (np.arange(len(digits)) - np.repeat(starts, lengths))
    values = np.add.reduceat((digits & 31) << shift, starts)
    values -= np.where(digits[last] & 16, np.int64(1) << (5 * lengths), 0)  # sign
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """The (H, W) mask at (width, height): a pixel is in if at least half of it is."""
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)


def read_soft_mask(data: bytes) -> Map:
    """Reads a saliency map from an 8-bit grey PNG: (H, W) float32 in [0, 1].

    Raises:
        ImageError: not a PNG of 8-bit grey, or a damaged one.
    """
    image = open_image(data, _ANY_SIZE, formats=("PNG",)).image
    if image.mode != "L":
        raise ImageError(f"a soft mask is a PNG of 8-bit grey, not of mode {image.mode}")
    return np.asarray(image, dtype=np.float32) / np.float32(255)
