"""Cells of an image that may show the concept.

Source: INSID3, released code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ipseg.methods.insid3.reference import References

_HIGH = 0.9  # quantile of the similarities where none is positive


def votes(features: Tensor, references: References) -> Tensor:
    """(n,) int64: in how many examples the nearest cell of each cell (n, c) is object."""
    total = torch.zeros(len(features), dtype=torch.int64, device=features.device)
    for cells, mask in zip(references.features, references.masks, strict=True):
        total += mask[(features @ cells.T).argmax(dim=1)]
    return total


def candidates(features: Tensor, similarity: Tensor, references: References) -> Tensor:
    """Cells that are like the object and nearest to it in half of the examples.

    Args:
        features: (n, c) unit vectors, in the same space as those of the examples.
        similarity: (n,) cosine to the prototype.
        references: k examples.

    Returns:
        (n,) bool.
    """
    alike = similarity > 0
    if not alike.any():
        alike = similarity > torch.quantile(similarity, _HIGH)
    # The nearest cells of the others change nothing.
    nearest = torch.zeros_like(alike)
    needed = (len(references.masks) + 1) // 2
    nearest[alike] = votes(features[alike], references) >= needed
    return nearest
