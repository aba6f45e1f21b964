"""One vector for the objects of several reference images, from sums that are kept for each.

Source: SINE (Liu et al., NeurIPS 2024), released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_EPSILON = 1e-8
_FINER = 4  # times the grid of the features is that of pooling


@dataclass(frozen=True)
class Pooled:
    """What is kept of the objects in reference images: all that any pooling of them needs.

    Attributes:
        sums: (n, c) features, summed over the cells of each object.
        areas: (n,) cells of each.
    """

    sums: Tensor
    areas: Tensor

    @property
    def each(self) -> Tensor:
        """(n, c): the mean feature of each object; zero where it has no cell."""
        return self.sums / (self.areas[:, None] + _EPSILON)

    @property
    def together(self) -> Tensor:
        """(c,): the mean over the cells of all: a large object counts more than a small one."""
        return self.sums.sum(dim=0) / (self.areas.sum() + _EPSILON)

    @staticmethod
    def of(parts: Sequence[Pooled]) -> Pooled:
        """All objects of several."""
        return Pooled(
            torch.cat([part.sums for part in parts]), torch.cat([part.areas for part in parts])
        )


def pool(features: Tensor, masks: Tensor) -> Pooled:
    """The cells of each object, at four times the grid of the features.

    A cell counts where any of the four pixels about its centre does, which makes objects wider by
    up to half a cell; what lies between these pixels is lost.

    Args:
        features: (c, h, w) of a reference image.
        masks: (n, H, W) bool at the size of the canvas.
    """
    grid = (_FINER * features.shape[1], _FINER * features.shape[2])
    cells = functional.interpolate(features[None], grid, mode="bilinear", align_corners=False)[0]
    inside = functional.interpolate(
        masks[:, None].float(), grid, mode="bilinear", align_corners=False
    )
    counted = (inside[:, 0] > 0).to(features.dtype)
    return Pooled(torch.einsum("nhw,chw->nc", counted, cells), counted.sum(dim=(1, 2)))
