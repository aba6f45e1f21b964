"""Which clusters of an image show the concept.

Source: INSID3, released code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ipseg.methods.insid3.clusters import cluster_directions, cluster_means


@dataclass(frozen=True)
class Clusters:
    """An image in clusters.

    Attributes:
        labels: (n,) int64, the cluster of each cell, from 0.
        directions: (q, c) unit vectors, the mean feature of each.
    """

    labels: Tensor
    directions: Tensor

    @staticmethod
    def of(features: Tensor, labels: Tensor) -> Clusters:
        """From features (n, c) and the cluster of each cell."""
        return Clusters(labels, cluster_directions(features, labels, int(labels.max()) + 1))

    def means(self, values: Tensor) -> Tensor:
        """(q,) or (q, c) means over the clusters of values (n,) or (n, c)."""
        return cluster_means(values, self.labels, len(self.directions))


@dataclass(frozen=True)
class Scored:
    """The clusters by how much they show a concept.

    Attributes:
        score: (q,) the product of the three below.
        cross: (q,) mean cosine of the cells to the prototype.
        intra: (q,) cosine of the mean feature to that of the seed.
        coverage: (q,) share of the cells that are candidates; 1 for the seed.
        seed: the cluster that is most like the prototype.
        likeness: of the seed, a cosine.
    """

    score: Tensor
    cross: Tensor
    intra: Tensor
    coverage: Tensor
    seed: int
    likeness: float


def scored(
    clusters: Clusters,
    candidates: Tensor,
    similarity: Tensor,
    directions: Tensor,
    prototype: Tensor,
) -> Scored:
    """Scores the clusters.

    Args:
        clusters: of the raw features.
        candidates: (n,) bool, at least one.
        similarity: (n,) cosine of the cells to the prototype, in the space without positions.
        directions: (q, c) unit vectors, the mean feature of each cluster in that space.
        prototype: (c,) in that space.
    """
    coverage = clusters.means(candidates.to(similarity.dtype))
    likeness = (directions @ prototype).where(coverage > 0, -torch.inf)
    seed = int(likeness.argmax())
    cross = clusters.means(similarity)
    intra = clusters.directions @ clusters.directions[seed]
    coverage[seed] = 1
    return Scored(cross * intra * coverage, cross, intra, coverage, seed, float(likeness[seed]))
