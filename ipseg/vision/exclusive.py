"""Masks that share no pixel: where several claim one, the first of them keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco

from ipseg.vision.masks import RLE, decode_rle, encode_rle, rle_area


def without_overlap(ranked: Sequence[RLE]) -> list[RLE | None]:
    """Takes from each mask the pixels of those before it.

    Args:
        ranked: masks of one size, the one that keeps all of its pixels first.

    Returns:
        What is left of each, in the same order; a mask that loses no pixel as it was; None where
        nothing is left. No two of them share a pixel, and together they cover what all covered.

    Raises:
        ValueError: an encoding is damaged, or sizes differ.
    """
    left: list[RLE | None] = []
    taken: RLE | None = None
    for each in ranked:
        if not rle_area(each):
            left.append(None)
            continue
        if taken is None:
            left.append(each)
            taken = each
            continue
        if list(taken["size"]) != list(each["size"]):
            raise ValueError(f"masks of different sizes: {taken['size']} and {each['size']}")
        rest: RLE | None = each
        if rle_area(_merged(taken, each, intersect=True)):
            mask = decode_rle(each) & ~decode_rle(taken)
            rest = encode_rle(mask) if mask.any() else None
        left.append(rest)
        taken = _merged(taken, each, intersect=False)
    return left


def _merged(a: RLE, b: RLE, *, intersect: bool) -> RLE:
    """Union or intersection of two masks that are known to be whole."""
    encoded: list[dict[str, Any]] = [
        {"size": [int(n) for n in each["size"]], "counts": each["counts"].encode("ascii")}
        for each in (a, b)
    ]
    merged = coco.merge(encoded, intersect)
    return {"size": [int(n) for n in merged["size"]], "counts": merged["counts"].decode("ascii")}
