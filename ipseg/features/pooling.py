"""From the mask of a prompt to one vector: which cells of the features count, and how much.

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
    """How much each cell of a prompt counts as object.

    So that no embedding is a mean of nothing, less is done to a mask of which nothing would be
    left: it is not eroded; then it is averaged over cells, not sampled, and cells weigh as much
    as they hold of it.

    Args:
        mask: (H, W) in [0, 1] over the whole image; the grid samples its nearest pixels.
        cells: rows and columns of the grid.
        erosion: 3 x 3 minimum filter on the grid; the border of the picture is not eroded.
        pooling: 'hard' gives weight 1 to cells > 0.5, 'soft' to each cell its value.

    Returns:
        (cells, cells) float32 in [0, 1], not all zero.

    Raises:
        PromptError: the mask is zero everywhere.
    """
    if not mask.any():
        raise PromptError(
            "the mask of the prompt is empty: nothing stands out; "
            "take a picture in which the object is clear, or give its mask"
        )
    sampled = mask_on_cells(mask, cells)
    whole = (sampled > 0.5).astype(np.float32) if pooling == "hard" else sampled
    # The minimum of a threshold is the threshold of the minimum.
    wanted = cv2.erode(whole, np.ones((3, 3), np.uint8)).astype(np.float32) if erosion else whole
    if wanted.any():
        return wanted
    return whole if whole.any() else resize_map(mask, (cells, cells), "area")


def prompt_embedding(features: Array, weights: Array) -> Array:
    """(c,) unit vector: the mean of raw feature cells (h, w, c) under (h, w) weights."""
    return unit(weighted_mean(features, weights))


def weighted_mean(features: Array, weights: Array) -> Array:
    """(c,) mean of cells (h, w, c), each with its share of the weights (h, w)."""
    shares = (weights / weights.sum()).reshape(-1)
    return shares @ features.reshape(-1, features.shape[-1])
