"""How the frames of a video get into both networks.

Source: Matcher (Liu et al., ICLR 2024), branch `vos-dev` of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor

from ipseg.features.patch_tokens import nearest_mask
from ipseg.networks.pixels import to_pixels
from ipseg.rows import Image, Mask

Side = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Wide:
    """A frame lies in an oblong, upright if the frame is; its aspect ratio is not kept.

    It is resized twice, with Pillow's bicubic filter, masks by their nearest pixels.

    Attributes:
        first: short side after the first resize, which keeps the aspect ratio; pixels.
        short: of the oblong, pixels; a multiple of DINOv2's patch.
        long: the same.
    """

    first: Side = 518
    short: Side = 504
    long: Side = 896

    def _shapes(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(rows, columns) after either resize."""
        scale = self.first / min(height, width)
        upright = height > width
        first = (max(1, int(height * scale)), max(1, int(width * scale)))
        return first, (self.long, self.short) if upright else (self.short, self.long)

    def place(self, image: Image) -> Image:
        """See `Placement.place`."""
        placed = PillowImage.fromarray(image)
        for rows, columns in self._shapes(*image.shape[:2]):
            placed = placed.resize((columns, rows), PillowImage.Resampling.BICUBIC)
        return np.array(placed)

    def place_mask(self, mask: Mask) -> Mask:
        """See `Placement.place_mask`."""
        first, last = self._shapes(*mask.shape)
        return nearest_mask(nearest_mask(mask, first), last)

    def pixels(self, placed: Sequence[Image], device: torch.device) -> Tensor:
        """See `Placement.pixels`."""
        return to_pixels(placed, device)
