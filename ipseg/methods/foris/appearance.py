"""What the object of some examples looks like, and what beside it looks most like it.

Source: FoRIS (arXiv 2609.03384), facts about its released code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.insid3.clusters import cluster_directions, clusters_of

_HARD = 0.2  # share of the background that is most like the object
_SHARP = 0.07  # temperature of the maximum over prototypes
_STEEP = 12.0
_FLOOR = 0.1  # what is left of a feature where the gate is shut


@dataclass(frozen=True)
class Appearance:
    """The object of all examples together.

    Attributes:
        prototypes: (q, c) unit vectors, the parts of the object.
        background: (c,) unit vector, the background that is most like it; zero if there is none.
    """

    prototypes: Tensor
    background: Tensor

    @staticmethod
    def of(features: Tensor, inside: Tensor, mean: Tensor, alike: float) -> Appearance:
        """From cells of all examples.

        Args:
            features: (m, c) unit vectors.
            inside: (m,) bool, those of the object, at least one.
            mean: (c,) unit vector, the object, by which background is judged.
            alike: mean cosine above which parts are joined.
        """
        cells, others = features[inside], features[~inside]
        labels = clusters_of(cells, alike)
        prototypes = cluster_directions(cells, labels, int(labels.max()) + 1)
        if not len(others):
            return Appearance(prototypes, torch.zeros_like(mean))
        hardest = (others @ mean).topk(max(1, int(_HARD * len(others)))).indices
        return Appearance(prototypes, functional.normalize(others[hardest].mean(dim=0), dim=0))

    def likeness(self, features: Tensor) -> Tensor:
        """(n,) a soft maximum of the cosines of cells (n, c) to the parts."""
        return _SHARP * torch.logsumexp(features @ self.prototypes.T / _SHARP, dim=1)

    def gate(self, features: Tensor, inside: Tensor | None = None) -> Tensor:
        """(n, 1) how far cells (n, c) of one image are let through, in [0.1, 1].

        Args:
            features: unit vectors.
            inside: (n,) bool, the object of an example, which is let through.
        """
        ahead = self.likeness(features) - features @ self.background
        gate = torch.sigmoid(_STEEP * (ahead - ahead.mean()))
        if inside is not None:
            gate = torch.maximum(gate, inside.to(gate.dtype))
        return (_FLOOR + (1 - _FLOOR) * gate)[:, None]


def without(vector: Tensor, other: Tensor) -> Tensor:
    """A vector (c,) without its part along a unit vector, as a unit vector; zero stays zero."""
    left = vector - (vector @ other) * other
    return left / left.norm().clamp(min=1e-8)
