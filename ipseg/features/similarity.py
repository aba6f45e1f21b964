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

Array = TypeVar("Array", npt.NDArray[np.float32], "torch.Tensor")


@dataclass(frozen=True)
class Similarity:
    """Similarity of each cell of an image with each of P concepts.

    Attributes:
        maps: (P, gh, gw) float32 on the requested grid over the whole image; higher is more
            similar. Comparable only within an image.
        presence: (P,) float32 in [0, 1], evidence that the concept is in the image; comparable
            between images.
    """

    maps: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]


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
