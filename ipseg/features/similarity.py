"""How much each cell of an image looks like a prompt: cosines, and what extractors answer.

The formulas take NumPy arrays and torch tensors alike, on whatever device they are, and give the
same kind back.
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
    """How much each cell of an image looks like each of P concepts.

    Attributes:
        maps: (P, gh, gw) float32 on the grid that was asked for, which covers the whole image
            row by row; higher is more alike. Only comparable within one image.
        presence: (P,) float32 in [0, 1], evidence that the concept is in the image at all;
            comparable between images.
    """

    maps: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]


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


def standardise(scores: Map) -> Map:
    """Zero mean, unit deviation over all cells; a constant map becomes zero."""
    exact = scores.astype(np.float64)
    deviation = exact.std()
    if deviation < 1e-6:
        return np.zeros_like(scores)
    return ((exact - exact.mean()) / deviation).astype(np.float32)
