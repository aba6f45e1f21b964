"""Prompt embedding, cosine similarity and their fusion: which cells look like the prompt.

The formulas on features take NumPy arrays and torch tensors alike, on whatever device they are,
and give the same kind back.

Source: IPSeg (arXiv 2310.10912), section 3; released code, `ipseg_fss.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.errors import PromptError
from ipseg.geometry import grid_shape, resize_map
from ipseg.letterbox import mask_on_cells
from ipseg.rows import Map

if TYPE_CHECKING:
    import torch

Pooling = Literal["hard", "soft"]
Array = TypeVar("Array", npt.NDArray[np.float32], "torch.Tensor")


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

    grid: int = 60
    square: bool = False
    saliency_weight: float = 0.0

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


def standardise(scores: Map) -> Map:
    """Zero mean, unit deviation over all cells; a constant map becomes zero."""
    exact = scores.astype(np.float64)
    deviation = exact.std()
    if deviation < 1e-6:
        return np.zeros_like(scores)
    return ((exact - exact.mean()) / deviation).astype(np.float32)


def prompt_weights(
    mask: Map, cells: int = 60, *, erosion: bool = True, pooling: Pooling = "hard"
) -> Map:
    """How much each cell of a prompt counts as object.

    So that no embedding is a mean of nothing, less is done to a mask of which nothing would be
    left: it is not eroded; then it is averaged over cells, not sampled, and cells weigh as much
    as they hold of it. `mask_warning` says when.

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
    return _weights_and_warning(mask, cells, erosion, pooling)[0]


def mask_warning(
    mask: Map, cells: int = 60, *, erosion: bool = True, pooling: Pooling = "hard"
) -> str | None:
    """What a person should know of a mask of which too little is left on the grid, or None.

    Arguments and error as for `prompt_weights`.
    """
    return _weights_and_warning(mask, cells, erosion, pooling)[1]


def _weights_and_warning(
    mask: Map, cells: int, erosion: bool, pooling: Pooling
) -> tuple[Map, str | None]:
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
        return wanted, None
    grid = f"on the {cells} x {cells} grid of the features"
    if whole.any():
        return whole, f"the object is too thin {grid} to take its rim off; it is kept"
    return (
        resize_map(mask, (cells, cells), "area"),
        f"no cell {grid} is surely object; all cells count with what they hold of it",
    )


def prompt_embedding(features: Array, weights: Array) -> Array:
    """(c,) unit vector: the mean of raw feature cells (h, w, c) under (h, w) weights."""
    return unit(weighted_mean(features, weights))


def weighted_mean(features: Array, weights: Array) -> Array:
    """(c,) mean of cells (h, w, c), each with its share of the weights (h, w)."""
    shares = (weights / weights.sum()).reshape(-1)
    return shares @ features.reshape(-1, features.shape[-1])


def cosine_similarity(features: Array, embeddings: Array) -> Array:
    """Cosine of every cell (h, w, c) with each of P unit vectors (P, c) -> (P, h, w)."""
    height, width, channels = features.shape
    scores = embeddings @ unit(features.reshape(-1, channels)).T
    return scores.reshape(-1, height, width)


def unit(vectors: Array) -> Array:
    """Vectors (..., c) divided by their lengths.

    One without any signal (a blank cell) stays zero: it is like nothing, rather than like
    everything.
    """
    lengths = ((vectors * vectors).sum(-1) ** 0.5)[..., None]
    blank = lengths <= 1e-12
    return vectors / (lengths + blank) * ~blank
