"""An image as CounTR takes it: resized, padded, cut into windows or tiles, and put together again.

Source: CounTR (Liu et al., BMVC 2022), the copy of its code in PerSense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from ipseg.counters import Boxes
from ipseg.counters.countr_network import CROP, PATCH
from ipseg.networks.pixels import to_pixels
from ipseg.rows import Image

_STEPS = 3  # from one window to the next it is a third of its width
_TILES = 3  # along each side
_SMALL = 10  # pixels: exemplars that are smaller are counted in tiles


@dataclass(frozen=True)
class Rect:
    """An exemplar in pixels of the resized image; both ends are in it."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def small(self) -> bool:
        """Whether it is too small for the network."""
        return self.x1 - self.x0 < _SMALL and self.y1 - self.y0 < _SMALL

    def shifted(self, columns: int) -> Rect:
        """So many pixels to the right."""
        return Rect(self.y0, self.x0 + columns, self.y1, self.x1 + columns)

    def of(self, maps: Tensor) -> Tensor:
        """Its part of (..., h, w)."""
        return maps[..., self.y0 : self.y1 + 1, self.x0 : self.x1 + 1]


@dataclass(frozen=True)
class Resized:
    """An image in the network's height.

    Attributes:
        pixels: (3, s, w) RGB in [0, 1], w >= s: black at both sides of a narrow image.
        shape: height, width of the image.
        width: columns that it takes.
        padding: columns before it.
    """

    pixels: Tensor
    shape: tuple[int, int]
    width: int
    padding: int

    @staticmethod
    def of(image: Image, side: int) -> Resized:
        """(H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        columns = max(1, int(width / height * side / PATCH)) * PATCH
        small = PillowImage.fromarray(image).resize(
            (columns, side), PillowImage.Resampling.BILINEAR
        )
        pixels = to_pixels([np.array(small)])[0]
        padding = max(0, side - columns) // 2
        pixels = functional.pad(pixels, (padding, max(0, side - columns - padding)))
        return Resized(pixels, (height, width), columns, padding)

    def rects(self, boxes: Boxes) -> list[Rect]:
        """Boxes x, y, x, y of the image, without the padding."""
        height, width = self.shape
        side = self.pixels.shape[1]
        return [
            Rect(
                int(y0 * side / height),
                int(x0 * self.width / width),
                int(y1 * side / height),
                int(x1 * self.width / width),
            )
            for x0, y0, x1, y1 in np.asarray(boxes, np.float64).tolist()
        ]

    def crop(self, rect: Rect, *, antialias: bool) -> Tensor:
        """(3, 64, 64) of an exemplar."""
        return resized(rect.of(self.pixels), (CROP, CROP), antialias=antialias)

    def tiles(self, *, antialias: bool) -> Tensor:
        """Nine parts, row by row, each as large as the whole: (9, 3, s, w)."""
        size = (self.pixels.shape[1], self.pixels.shape[2])
        height, width = (each // _TILES for each in size)
        return torch.stack(
            [
                resized(self.pixels[:, y : y + height, x : x + width], size, antialias=antialias)
                for y in (0, height, 2 * height)
                for x in (0, width, 2 * width)
            ]
        )


def resized(maps: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    """(c, h, w) -> (c, *size), bilinear."""
    return functional.interpolate(
        maps[None], size, mode="bilinear", align_corners=False, antialias=antialias
    )[0]


def starts(width: int, side: int) -> list[int]:
    """First columns of the windows over a width >= side; the last one ends with it."""
    return [*range(0, width - side, side // _STEPS), width - side]


def windows(pixels: Tensor) -> Tensor:
    """(3, s, w) -> (n, 3, s, s)."""
    side = pixels.shape[1]
    return torch.stack([pixels[:, :, x : x + side] for x in starts(pixels.shape[2], side)])


def merged(parts: Sequence[Tensor], width: int) -> Tensor:
    """Maps (s, s) of the windows from left to right -> (s, width).

    Where a window overlaps what was there before it, the mean of both counts.
    """
    side = parts[0].shape[0]
    whole = parts[0].new_zeros(side, width)
    end = 0
    for part, start in zip(parts, starts(width, side), strict=True):
        both = max(0, end - start)
        whole[:, start:end] = (whole[:, start:end] + part[:, :both]) / 2
        whole[:, start + both : start + side] = part[:, both:]
        end = start + side
    return whole


def assembled(tiles: Sequence[Tensor]) -> Tensor:
    """Densities (s, w) of the nine tiles, each over the whole -> one (s, w) with the same sum."""
    height, width = (each // _TILES for each in tiles[0].shape)
    enlarged = tiles[0].numel() / (height * width)  # a cell of the result holds so many of a tile
    small = [
        functional.interpolate(t[None, None], (height, width), mode="area")[0, 0] for t in tiles
    ]
    rows = [torch.cat(small[first : first + _TILES], dim=1) for first in (0, 3, 6)]
    whole = enlarged * torch.cat(rows)
    rest = (0, tiles[0].shape[1] - whole.shape[1], 0, tiles[0].shape[0] - whole.shape[0])
    return functional.pad(whole, rest)
