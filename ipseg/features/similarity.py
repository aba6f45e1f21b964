"""Similarity of image cells and prompts: cosines, and the result type of extractors.

The functions take NumPy arrays or torch tensors on any device and return the same type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from ipseg.rows import Map

if TYPE_CHECKING:
    import torch

FINER = 4  # cells of a placement along one of the map
_BEST_CELLS = 32  # that vote for presence

Array = TypeVar("Array", npt.NDArray[np.float32], "torch.Tensor")


@dataclass(frozen=True)
class Similarity:
    """Similarity of each cell of an image with each of P concepts.

    Attributes:
        maps: (P, gh, gw) float32 on the requested grid over the whole image; higher is more
            similar. Comparable only within an image.
        presence: (P,) float32 in [0, 1], evidence that the concept is in the image; comparable
            between images.
        local: (P, gh, gw) float32 in [0, 1], the same evidence for what is at each cell, so that
            one of several instances can be judged by its own region. None: see `local_presence`.
        placements: for each concept (n, 4 gh, 4 gw) float32 in [0, 1], instances that were kept
            apart already: evidence of presence inside of each, 0 outside, on a grid fine enough for
            an outline. None: the extractor cannot.
    """

    maps: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    local: npt.NDArray[np.float32] | None = None
    placements: tuple[npt.NDArray[np.float32], ...] | None = None

    def local_presence(self) -> npt.NDArray[np.float32]:
        """`local`; or presence, where the map is as high as in its best cells, and less elsewhere.

        Zero for an extractor with placements, which say it better.
        """
        if self.local is not None:
            return self.local
        if self.placements is not None:
            return np.zeros_like(self.maps)
        concepts, rows, columns = self.maps.shape
        flat = self.maps.reshape(concepts, rows * columns)
        top = np.sort(flat, axis=1)[:, -_BEST_CELLS:].mean(axis=1)
        middle = np.median(flat, axis=1)
        span = np.maximum(top - middle, 1e-6)[:, None, None]
        share = np.clip((self.maps - middle[:, None, None]) / span, 0, 1)
        return np.asarray(self.presence[:, None, None] * share, np.float32)


def cosine_similarity(features: Array, embeddings: Array) -> Array:
    """Cosine of every cell (h, w, c) with each of P unit vectors (P, c) -> (P, h, w).

    A zero cell (a blank one) is similar to nothing.
    """
    height, width, channels = features.shape
    cells = features.reshape(-1, channels)
    # Products first: P scores for each cell are divided, not its hundreds of channels.
    scores = _divide(embeddings @ cells.T, _lengths(cells))
    return scores.reshape(-1, height, width)


def unit(vectors: Array) -> Array:
    """Vectors (..., c) divided by their lengths; a zero vector stays zero."""
    return _divide(vectors, _lengths(vectors)[..., None])


def _divide(values: Array, lengths: Array) -> Array:
    blank = lengths <= 1e-12
    return values / (lengths + blank) * ~blank


def _lengths(vectors: Array) -> Array:
    """Of vectors (..., c): (...)."""
    if isinstance(vectors, np.ndarray):
        # In one pass; the squares of a whole feature map would be written and read again.
        return np.sqrt(np.einsum("...c,...c->...", vectors, vectors))
    if vectors.device.type == "cpu":  # torch's own einsum is slower than squares and sum
        return vectors.new_tensor(_lengths(vectors.numpy()))
    return (vectors * vectors).sum(-1) ** 0.5


def standardise(scores: Map) -> Map:
    """Zero mean and unit deviation over all cells; a constant map becomes zero."""
    exact = scores.astype(np.float64)
    deviation = exact.std()
    if deviation < 1e-6:
        return np.zeros_like(scores)
    return ((exact - exact.mean()) / deviation).astype(np.float32)
