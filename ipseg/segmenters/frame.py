"""The position of an image in the square input of a promptable network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from ipseg.networks.pixels import normalised
from ipseg.rows import Image

Aspect = Literal["letterbox", "squash", "stretch"]

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue, in units of 0..255."""

IMAGENET: Statistics = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@dataclass(frozen=True)
class Frame:
    """The position of one image in the square, at its top left corner.

    Attributes:
        side: of the square, pixels.
        image: height, width of the image.
        inside: height, width of the image in the square; the rest of the square is padding.
    """

    side: int
    image: tuple[int, int]
    inside: tuple[int, int]

    @classmethod
    def around(cls, height: int, width: int, side: int, aspect: Aspect) -> Frame:
        """The frame of an image: the whole square, or a part with the aspect ratio of the image."""
        if aspect != "letterbox":
            return cls(side, (height, width), (side, side))
        scale = side / max(height, width)
        # At least one pixel: strips with an aspect ratio of 50 are accepted by default.
        inside = (max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5)))
        return cls(side, (height, width), inside)

    def from_image(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 2) x, y in pixels of the image -> pixels of the square."""
        return np.asarray(points, dtype=np.float64) * (
            self.inside[1] / self.image[1],
            self.inside[0] / self.image[0],
        )

    def masks(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Low-resolution logits -> masks, as in SAM: `enlarge`, then threshold at 0.

        For images of the size of the square, the second resize changes nothing.

        Args:
            logits: (C, h, w) float32 over the whole square.

        Returns:
            (C, H, W) bool at the size of the image, and (C, *inside) bool in the square.
        """
        seen = self._inside(logits)
        return self._full(seen) > 0, seen > 0

    def enlarge(self, maps: Tensor) -> Tensor:
        """Maps over the square -> over the image, as SAM resizes its logits.

        They are resized to the square (bilinear), the padding is removed, and the rest is resized
        to the image (bilinear).

        Args:
            maps: (C, h, w) float32 over the whole square.

        Returns:
            (C, H, W) float32.
        """
        return self._full(self._inside(maps))

    def _inside(self, maps: Tensor) -> Tensor:
        square = (self.side, self.side)
        return _resized(maps, square)[:, : self.inside[0], : self.inside[1]]

    def _full(self, seen: Tensor) -> Tensor:
        return _resized(seen, self.image)


def _resized(maps: Tensor, shape: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps[None], shape, mode="bilinear", align_corners=False)[0]


def fit(image: Image, frame: Frame, aspect: Aspect) -> Image:
    """Resizes an image to its size in the frame.

    `squash` uses OpenCV's linear interpolation, as released with IPSeg, which skips pixels of large
    images. `letterbox` and `stretch` use Pillow's bilinear filter with antialiasing, like SAM and
    SAM 2.

    Returns:
        (*inside, 3) uint8.
    """
    height, width = frame.inside
    if aspect == "squash":
        return np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8)
    resized = PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BILINEAR)
    return np.array(resized)


def to_batch(images: Sequence[Image], side: int, statistics: Statistics = IMAGENET) -> Tensor:
    """Images up to the size of the square -> (B, 3, side, side) float32, normalised, 0-padded."""
    batch = torch.zeros(len(images), 3, side, side)
    for place, image in zip(batch, images, strict=True):
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        place[:, : image.shape[0], : image.shape[1]] = normalised(pixels.float(), *statistics)[0]
    return batch
