"""One canvas for the examples of a concept and the image.

SAM 3 takes boxes on the very image in which it looks, so the examples are pasted beside it.

Source: FSS-SAM3 (arXiv 2604.05433), facts about its released code; `bottom` with a share of 0.3 is
the layout of Geti Instant Learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from pydantic import Field

from ipseg.rows import Image

Boxes = npt.NDArray[np.float32]  # (n, 4) x, y, x, y
Side = Literal["top", "bottom", "left", "right"]


@dataclass(frozen=True)
class Place:
    """A rectangle of the canvas, whole pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, canvas: Any) -> Any:  # noqa: ANN401  (an array or a tensor)
        """This part of an array whose last two axes are those of the canvas; a view."""
        return canvas[..., self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Layout:
    """Where everything lies on a square canvas.

    Attributes:
        side: of the canvas, pixels.
        examples: a place for each.
        target: place of the image.
    """

    side: int
    examples: tuple[Place, ...]
    target: Place

    def paste(self, examples: Sequence[Image], target: Image) -> Image:
        """(side, side, 3) uint8, black where nothing lies; each image is stretched to its place."""
        canvas = np.zeros((self.side, self.side, 3), np.uint8)
        images, places = [*examples, target], [*self.examples, self.target]
        for image, place in zip(images, places, strict=True):
            size = (place.width, place.height)
            small = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
            place.cut(canvas.transpose(2, 0, 1))[:] = np.asarray(small).transpose(2, 0, 1)
        return canvas

    def boxes(self, inside: Boxes) -> Boxes:
        """Boxes in the examples, one in each, in shares of its sides -> of the canvas's side."""
        corners = [(p.left, p.top, p.left, p.top) for p in self.examples]
        sizes = [(p.width, p.height, p.width, p.height) for p in self.examples]
        return np.asarray((inside * np.array(sizes) + np.array(corners)) / self.side, np.float32)


@dataclass(frozen=True)
class Canvas:
    """How the canvas is divided.

    Attributes:
        one: where a single example lies. The released few-shot evaluation has `top` for PASCAL and
            `bottom` for COCO.
        several: where several lie: side by side in a strip along one side, or, `corner`, the first
            half of them (and the odd one) along the top and the others down the left.
        share_of_one: share of the canvas's side that the strip of a single example takes.
        share_of_several: the same of several.
    """

    one: Side = "top"
    several: Side | Literal["corner"] = "corner"
    share_of_one: Annotated[float, Field(gt=0, lt=1)] = 0.6
    share_of_several: Annotated[float, Field(gt=0, lt=1)] = 0.3

    def layout(self, count: int, side: int) -> Layout:
        """The layout of a canvas.

        Args:
            count: of examples, at least 1.
            side: of the canvas, pixels.
        """
        if count == 1:
            return _strip(self.one, int(side * self.share_of_one), 1, side)
        thickness = int(side * self.share_of_several)
        if self.several != "corner":
            return _strip(self.several, thickness, count, side)
        above = (count + 1) // 2
        top = [Place(x, 0, width, thickness) for x, width in _cut(0, side, above)]
        left = [Place(0, y, thickness, h) for y, h in _cut(thickness, side, count - above)]
        rest = side - thickness
        return Layout(side, (*top, *left), Place(thickness, thickness, rest, rest))


def _strip(where: Side, thickness: int, count: int, side: int) -> Layout:
    rest = side - thickness
    parts = _cut(0, side, count)
    if where in ("top", "bottom"):
        at, target = (0, thickness) if where == "top" else (rest, 0)
        places = [Place(x, at, width, thickness) for x, width in parts]
        return Layout(side, tuple(places), Place(0, target, side, rest))
    at, target = (0, thickness) if where == "left" else (rest, 0)
    places = [Place(at, y, thickness, height) for y, height in parts]
    return Layout(side, tuple(places), Place(target, 0, rest, side))


def _cut(start: int, end: int, count: int) -> list[tuple[int, int]]:
    """(start, length) of equal parts, to the pixel."""
    edges = [start + (end - start) * number // count for number in range(count + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]
