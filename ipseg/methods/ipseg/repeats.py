"""One mask for each instance: repeats go, and no pixel belongs to two instances of a concept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ipseg.objects import Object
from ipseg.rows import Mask
from ipseg.vision.masks import encode_rle


class Distinct:
    """The objects of one concept in one image, as they are found.

    Attributes:
        objects: those that are kept.
        taken: (H, W) bool, what they cover.
    """

    def __init__(
        self, shape: tuple[int, int], repeated: float, known: Sequence[Object] = ()
    ) -> None:
        self.objects: list[Object] = list(known)
        self.taken: Mask = np.zeros(shape, bool)
        self._repeated = repeated

    def add(self, found: Iterable[Object]) -> list[Object]:
        """Keeps the objects that are no repeats, the highest score first; it keeps the pixels.

        An object is a repeat if its intersection with a kept one is at least `repeated` of the
        smaller of the two (so it lies inside of it, or the other way round), or of its own area
        with all kept ones together.

        Returns:
            What was kept of them, with the pixels that are left.
        """
        kept = []
        for each in sorted(found, key=_rank):
            mask = each.mask
            area, free = int(mask.sum()), mask & ~self.taken
            if area == 0 or area - int(free.sum()) >= self._repeated * area:
                continue
            if any(self._inside(other, mask) for other in self.objects):
                continue
            self.taken |= mask
            kept.append(replace(each, segmentation=encode_rle(free)))
            self.objects.append(kept[-1])
        return kept

    def _inside(self, other: Object, mask: Mask) -> bool:
        return int((other.mask & mask).sum()) >= self._repeated * other.area


def numbered(objects: Iterable[Object]) -> list[Object]:
    """Objects of one concept with their instance numbers, the highest score first.

    Of equal scores the larger comes first, then the one that begins earlier down the columns.
    """
    return [replace(each, instance=n) for n, each in enumerate(sorted(objects, key=_rank))]


def _rank(each: Object) -> tuple[float, int, int]:
    mask = each.mask
    return -each.score, -each.area, int(mask.ravel(order="F").argmax())
