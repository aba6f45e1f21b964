"""Pooling the features of a prompt under its mask to one vector.

Source: IPSeg (arXiv 2310.10912), section 3; released code, `ipseg_fss.py`.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from ipseg.errors import PromptError
from ipseg.features.similarity import Array, unit
from ipseg.rows import Map
from ipseg.vision.geometry import resize_map
from ipseg.vision.letterbox import mask_on_cells

Pooling = Literal["hard", "soft"]


def prompt_weights(
    mask: Map, cells: int = 60, *, erosion: bool = True, pooling: Pooling = "hard"
) -> Map:
    """The weight of each cell of a prompt in the pooled features.

    If erosion would leave nothing of the mask, it is not eroded. If the grid has no cell of it
    either, it is averaged over cells instead of sampled, and these shares are the weights. So the
    weights are never all zero.

    Args:
        mask: (H, W) in [0, 1] over the whole image; the grid samples the nearest pixels.
        cells: rows and columns of the grid.
        erosion: 3 x 3 minimum filter on the grid; the image border is not eroded.
        pooling: 'hard' gives cells > 0.5 weight 1, 'soft' gives each cell its value.

    Returns:
        (cells, cells) float32 in [0, 1], not all zero.

    Raises:
        PromptError: the mask is zero everywhere.
    """
    if not mask.any():
        raise PromptError(
            "the mask of the prompt is empty: no object was found; use an image in which the "
            "object is clear, or provide its mask"
        )
    sampled = mask_on_cells(mask, cells)
    whole = (sampled > 0.5).astype(np.float32) if pooling == "hard" else sampled
    # Erosion and threshold can be swapped.
    eroded = cv2.erode(whole, np.ones((3, 3), np.uint8)).astype(np.float32) if erosion else whole
    if eroded.any():
        return eroded
    return whole if whole.any() else resize_map(mask, (cells, cells), "area")


def prompt_embedding(features: Array, weights: Array) -> Array:
    """(c,) unit vector: the mean of feature cells (h, w, c) with weights (h, w)."""
    return unit(weighted_mean(features, weights))


def weighted_mean(features: Array, weights: Array) -> Array:
    """(c,) weighted mean of cells (h, w, c) with weights (h, w)."""
    shares = (weights / weights.sum()).reshape(-1)
    return shares @ features.reshape(-1, features.shape[-1])
