"""How similarity maps are laid out and fused: which cells look like the prompt.

Source: IPSeg (arXiv 2310.10912), section 3; released code, `ipseg_fss.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.features.similarity import standardise
from ipseg.rows import Map
from ipseg.vision.geometry import grid_shape, resize_map


@dataclass(frozen=True)
class Matching:
    """How similarity maps are laid out and put together.

    Attributes:
        grid: cells along the long side of the image (60 in the published method).
        square: the same number of cells along both sides, as the published method has it;
            otherwise cells are square and the short side has fewer.
        saliency_weight: share of the image's own saliency (z-scored) in the fused map; 0 leaves
            it out, as the published method does.
    """

    grid: Annotated[int, Field(ge=1)] = 60
    square: bool = False
    saliency_weight: Annotated[float, Field(ge=0)] = 0.0

    def grid_of(self, width: int, height: int) -> tuple[int, int]:
        """(gh, gw) for an image of this size in pixels."""
        return grid_shape(width, height, self.grid, square=self.square)

    def fuse(
        self,
        maps: Sequence[npt.NDArray[np.float32]],
        weights: Sequence[float],
        saliency: Map | None,
    ) -> npt.NDArray[np.float32]:
        """Weighted sum of (P, gh, gw) maps, and of one (H, W) saliency map for all of them."""
        fused = np.zeros_like(maps[0])
        for scores, weight in zip(maps, weights, strict=True):
            fused += np.float32(weight) * scores
        if saliency is not None and self.saliency_weight > 0:
            objectness = resize_map(saliency, (fused.shape[1], fused.shape[2]), how="area")
            fused += np.float32(self.saliency_weight) * standardise(objectness)
        return fused
