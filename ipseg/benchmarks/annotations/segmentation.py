"""One mask of an annotation file, in any of COCO's formats, as run lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.vision.masks import RLE, encode_rle, rle_area

Size = tuple[int, int] | Callable[[], tuple[int, int]]  # height, width
_FARTHEST = 1e5  # pixels: coordinates of polygons beyond this are errors
_NOTHING = 1e-6  # square pixels, by rounding


def to_rle(segmentation: object, size: Size, where: str, dropped: Dropped) -> RLE:
    """The run lengths of a mask in any of COCO's formats.

    A polygon beside others that has no three corners, no numbers, no area or lies outside of the
    image is left out. One that is too thin for a pixel is not counted: official files have them.

    Args:
        segmentation: polygons ([x, y, x, y, ...] each), run lengths (compressed or a list of
            numbers), or an array (H, W) that is non-zero on the object.
        size: height and width of the image, needed for polygons; called only for them.
        where: file and entry, for errors.
        dropped: takes up polygons that are left out.

    Raises:
        RecordError: it is none of these, or damaged, or no polygon is left.
    """
    try:
        if isinstance(segmentation, dict):
            return _runs(segmentation)
        if isinstance(segmentation, np.ndarray):
            return encode_rle(np.asarray(segmentation != 0))
        if isinstance(segmentation, list | tuple) and segmentation:
            return _rasterise(segmentation, size() if callable(size) else size, where, dropped)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise RecordError(
            "damaged segmentation", f"{where}: damaged segmentation: {error}"
        ) from error
    raise RecordError(
        "damaged segmentation",
        f"{where}: the segmentation is not a list of polygons, run lengths or an array",
    )


def _runs(segmentation: dict[Any, Any]) -> RLE:
    height, width = (int(n) for n in segmentation["size"])
    counts = segmentation["counts"]
    if isinstance(counts, list | tuple):
        runs = np.asarray(counts, dtype=np.int64)
        if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
            raise ValueError(f"runs do not fill {height} x {width} pixels")
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return encode_rle(np.asarray(flat.reshape(width, height).T))
    rle: RLE = {
        "size": [height, width],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else str(counts),
    }
    rle_area(rle)
    return rle


def _rasterise(polygons: Sequence[Any], size: tuple[int, int], where: str, dropped: Dropped) -> RLE:
    kept, faults = [], []
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, dtype=np.float64)  # null is NaN
        except (ValueError, TypeError):
            corners = np.empty(0)
        if fault := _fault(corners):
            faults.append(fault)
            continue
        (rle,) = coco.frPyObjects([corners.tolist()], *size)
        # The pixels decide: two loops of an 8 have no area either.
        if not coco.area(rle) and (fault := _emptiness(corners, size)):
            faults.append(fault)
        else:
            kept.append(rle)
    errors = [RecordError(f"polygon {fault}", f"{where}: a polygon {fault}") for fault in faults]
    if not kept:
        raise errors[0]
    for error in errors:
        dropped.add(error)
    return union(kept)


def _fault(corners: npt.NDArray[np.float64]) -> str:
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
        return "without x, y of at least three corners"
    if not (np.abs(corners) < _FARTHEST).all():  # also false for NaN
        return "with a corner that is no number, or far outside of any image"
    return ""


def _emptiness(corners: npt.NDArray[np.float64], size: tuple[int, int]) -> str:
    """Why a polygon covers no pixel; nothing where it is only thin."""
    height, width = size
    x, y = corners[0::2], corners[1::2]
    if x.max() <= 0 or y.max() <= 0 or x.min() >= width or y.min() >= height:
        return "outside of its image"
    twice = x @ np.roll(y, -1) - y @ np.roll(x, -1)
    return "" if abs(twice) > _NOTHING else "without area"


def union(rles: Sequence[Any]) -> RLE:
    """The union of masks of one size."""
    merged = coco.merge(list(rles), intersect=False)
    return {"size": [int(n) for n in merged["size"]], "counts": merged["counts"].decode("ascii")}
