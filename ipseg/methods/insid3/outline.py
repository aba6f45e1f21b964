"""From cells to pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.features.patch_encoder import squashed
from ipseg.methods.insid3.edges import EdgeOutlines
from ipseg.rows import Image, Mask

Outline = Literal["cells", "edges"]


def enlarged(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Where values (h, w) in [0, 1] at another size (bilinear) are above one half: (H, W) bool."""
    larger = functional.interpolate(
        values[None, None].float(), shape, mode="bilinear", align_corners=False
    )
    return larger[0, 0] > 0.5


class OnImage:
    """Brings cells of a network to the pixels of one image, by way of its square."""

    def __init__(self, image: Image, side: int, outline: Outline) -> None:
        """Takes the image, the side of the square in pixels, and what its outlines go by."""
        self._image, self._side, self._outline = image, side, outline

    @cached_property
    def _edges(self) -> EdgeOutlines:
        return EdgeOutlines(squashed(self._image, self._side))

    def mask(self, cells: Tensor) -> Mask:
        """(H, W) bool at the size of the image, of cells (n, n) that are bool or in [0, 1]."""
        square = enlarged(cells, (self._side, self._side))
        if self._outline == "edges" and square.any():
            refined = self._edges.refine(np.asarray(square.cpu().numpy()))
            square = torch.from_numpy(refined)
        return np.asarray(enlarged(square, self._image.shape[:2]).cpu().numpy())
