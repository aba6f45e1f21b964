"""Counters: from an image and boxes around a few of its objects to a map of how many are where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ipseg.networks.shared import Part
from ipseg.rows import Image, Map

Boxes = npt.NDArray[np.float64]  # (n, 4) x, y, x, y in pixels, first and last column and row


@dataclass(frozen=True)
class Density:
    """What a counter says of one image.

    Attributes:
        map: (h, w) float32 on the counter's own grid over the whole image: objects per cell. That
            of CounTR can be negative.
        count: number of objects as the counter reports it; CounTR's can be negative.
        total: sum of the density before it was rounded or normalised.
        boxes: (n, 4) x, y, x, y in pixels of the image, around single objects, of a counter that
            finds them one by one; None of one that has only the map.
    """

    map: Map
    count: float
    total: float
    boxes: Boxes | None = None


class Counter(Part, Protocol):
    """Encodes an image once and counts in it by any exemplars.

    Attributes:
        level: of 255, above which the density of an object lies (PerSense sets one for each
            counter).
        exemplars: boxes that it takes into account, the first of those it is given.
    """

    level: ClassVar[int]
    exemplars: ClassVar[int]

    def encode(self, images: Sequence[Image]) -> list[Any]:
        """What does not depend on exemplars, for each (H, W, 3) uint8 image; private."""

    def count(self, encoded: Any, boxes: Boxes) -> Density:  # noqa: ANN401
        """How many objects like those in n >= 1 boxes there are, and where."""
