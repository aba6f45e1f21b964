"""How an image lies in the canvas of the network, and the way back.

Three ways were released, one for each task. Zeros fill what is right of the image and below it,
after normalisation; the network does not know them from the image.

Source: SINE (Liu et al., NeurIPS 2024), released code; `long_side` is detectron2's rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ipseg.errors import ImageError
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.rows import Image, Mask

Fit = Literal["squash", "long_side", "video"]
Size = tuple[int, int]  # rows, columns

_SQUASHED = 37 / 64  # share of the canvas's side
_SHORT_SIDE = 518 / 1036  # of a video's frames on their way, share of the canvas's side


@dataclass(frozen=True)
class Canvas:
    """How images are brought to the network.

    Attributes:
        side: pixels of the square canvas.
        fit: `squash`: to 37/64 of the side, both ways, as released for few-shot semantic
            segmentation; `long_side`: the longer side fills it, as for instances; `video`: the same
            in two steps, by way of a short side of half the canvas.
        padding: `square`, as released; `tight`: only up to the next whole patch, which is faster,
            gives other results, and makes canvases that are not square.
        colour: order of the channels. `bgr` is what the released evaluation of instances feeds, by
            mistake, with the mean and deviation of RGB.
    """

    side: Annotated[int, Field(gt=0)] = 896
    fit: Fit = "squash"
    padding: Literal["square", "tight"] = "square"
    colour: Literal["rgb", "bgr"] = "rgb"

    def inside(self, height: int, width: int) -> Size:
        """The part of the canvas that an image of (height, width) pixels fills.

        Raises:
            ImageError: the image is too long for its width: nothing would be left of it.
        """
        if self.fit == "squash":
            squashed = round(self.side * _SQUASHED)
            return squashed, squashed
        size = (
            self._long_side(height, width)
            if self.fit == "long_side"
            else self._video(*self.between(height, width))
        )
        if min(size) < 1:
            raise ImageError(
                f"an image of {width}x{height} pixels is less than a pixel wide on a canvas of "
                f"{self.side}"
            )
        return size

    def between(self, height: int, width: int) -> Size:
        """The size of a video's frame on its way to the canvas; of others their own."""
        if self.fit != "video":
            return height, width
        short = round(self.side * _SHORT_SIDE)
        if height <= width:
            return short, int(short * width / height)
        return int(short * height / width), short

    def _long_side(self, height: int, width: int) -> Size:
        scale = self.side / min(height, width)
        rows, columns = height * scale, width * scale
        if max(rows, columns) > self.side:
            scale = self.side / max(rows, columns)
            rows, columns = rows * scale, columns * scale
        return int(rows + 0.5), int(columns + 0.5)

    def _video(self, height: int, width: int) -> Size:
        ratio = max(height, width) / min(height, width)
        short = int(self.side / ratio)
        return (short, self.side) if height <= width else (self.side, short)

    def place(self, image: Image, patch: int) -> Placed:
        """An image on its canvas.

        Args:
            image: (H, W, 3) uint8 RGB.
            patch: pixels of a token's side.

        Raises:
            ImageError: see `inside`.
        """
        height, width = image.shape[:2]
        inside = self.inside(height, width)
        ordered = image[..., ::-1] if self.colour == "bgr" else image
        pixels = normalised(self._resized(ordered, inside), IMAGENET_MEAN, IMAGENET_STD)
        size = (self.side, self.side)
        if self.padding == "tight":
            size = tuple(-(-length // patch) * patch for length in inside)  # type: ignore[assignment]
        below, right = size[0] - inside[0], size[1] - inside[1]
        return Placed(functional.pad(pixels, (0, right, 0, below))[0], View(size, inside))

    def _resized(self, image: Image, inside: Size) -> Tensor:
        """(1, 3, h, w) in [0, 1]."""
        if self.fit != "video":
            whole = PillowImage.fromarray(np.ascontiguousarray(image))
            image = np.asarray(whole.resize(inside[::-1], PillowImage.Resampling.BILINEAR))
        pixels = to_pixels([image])
        if self.fit == "video":
            for size in (self.between(*image.shape[:2]), inside):
                pixels = functional.interpolate(pixels, size, mode="bilinear", align_corners=False)
        return pixels

    def place_mask(self, mask: Mask, view: View) -> Tensor:
        """The mask of an image on the same canvas.

        Args:
            mask: (H, W) bool.
            view: of the image, from `place`.

        Returns:
            (rows, columns) bool.
        """
        pixels = torch.from_numpy(mask)[None, None].float()
        for size in (self.between(*mask.shape), view.inside):
            pixels = functional.interpolate(pixels, size, mode="nearest")
        below, right = (view.canvas[axis] - view.inside[axis] for axis in (0, 1))
        return functional.pad(pixels[0, 0] > 0, (0, right, 0, below))


@dataclass(frozen=True)
class View:
    """Which part of a canvas is image.

    Attributes:
        canvas: its rows and columns, pixels.
        inside: rows and columns of the part at its upper left that the image fills.
    """

    canvas: Size
    inside: Size

    def crop(self, maps: Tensor) -> Tensor:
        """Maps over the canvas, (n, h, w) of any grid -> (n, *inside)."""
        full = _bilinear(maps, self.canvas)
        return full[:, : self.inside[0], : self.inside[1]]

    def back(self, maps: Tensor, size: Size) -> Tensor:
        """Maps over the canvas, (n, h, w) of any grid -> over the image, (n, *size)."""
        return _bilinear(self.crop(maps), size)


@dataclass(frozen=True)
class Placed:
    """An image on its canvas.

    Attributes:
        pixels: (3, rows, columns) float32, normalised.
        view: which part of it is the image.
    """

    pixels: Tensor
    view: View


def _bilinear(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[1:]) == size:
        return maps
    return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
