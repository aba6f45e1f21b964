"""One score for each cell of an image, from likeness, votes, a prior and regions.

Source: FoRIS (arXiv 2609.03384); the weights are those of the released code, as far as they are
known: the paper has none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.insid3.clusters import cluster_directions, cluster_means, clusters_of

_BACKGROUND = 0.55
_VOTES = 0.20
_PRIOR = 0.25
_COLOUR, _PLACE = 0.35, 0.20  # beside features, for clusters of the prior
_DISAGREEMENT, _AMBIGUITY, _MOST = 0.08, 0.05, 0.22
_AHEAD, _BEHIND, _LEAST = 0.20, 0.18, -0.12


def spread(values: Tensor) -> Tensor:
    """Values (n,) brought to [0, 1]; 0 where all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low + 1e-6)


def beside_features(colours: Tensor) -> Tensor:
    """(n * n, 5) colour and place of each cell, weighted.

    Args:
        colours: (3, n, n) in [0, 1].
    """
    ends = torch.linspace(-1, 1, colours.shape[1], device=colours.device)
    places = torch.stack(torch.meshgrid(ends, ends, indexing="ij")).flatten(1).T
    return torch.cat(
        [
            _COLOUR * functional.normalize(colours.flatten(1).T, dim=1),
            _PLACE * functional.normalize(places, dim=1),
        ],
        dim=1,
    )


def seed_prior(
    features: Tensor, beside: Tensor | None, likeness: Tensor, candidates: Tensor, alike: float
) -> Tensor:
    """How much a cell is of a cluster that is like the best cluster.

    Candidates and every second cell along both axes are clustered; the prior of others is 0, and
    of all if there is no candidate.

    Args:
        features: (n * n, c) gated.
        beside: (n * n, 5) colour and place, or None.
        likeness: (n * n,) to the object.
        candidates: (n * n,) bool.
        alike: mean cosine above which clusters are joined.

    Returns:
        (n * n,) in [0, 1].
    """
    prior = torch.zeros_like(likeness)
    if not candidates.any():
        return prior
    side = round(len(features) ** 0.5)
    regular = torch.zeros(side, side, dtype=torch.bool, device=features.device)
    regular[::2, ::2] = True
    chosen = candidates | regular.flatten()
    cells = features[chosen]
    described = cells if beside is None else torch.cat([cells, beside[chosen]], dim=1)
    labels = clusters_of(functional.normalize(described, dim=1), alike)
    count = int(labels.max()) + 1
    if count == 1:
        return candidates.to(prior.dtype)
    area = cluster_means(candidates[chosen].to(prior.dtype), labels, count)
    cross = cluster_means(likeness[chosen], labels, count)
    seed = int((cross * area).where(area > 0, -torch.inf).argmax())
    directions = cluster_directions(cells, labels, count)
    values = cross * (directions @ directions[seed]).clamp(min=0) * area
    values[seed] = values[seed].clamp(min=1e-6)
    prior[chosen] = spread(values)[labels]
    return prior


def region_term(like: Tensor, unlike: Tensor, labels: Tensor) -> Tensor:
    """(n,) what the cluster of a cell says: more like the object than the background, or both."""
    count = int(labels.max()) + 1
    means = [cluster_means(each, labels, count) for each in (like, unlike)]
    ahead = (means[0] - means[1]).clamp(min=0)
    term = _AHEAD * ahead - _BEHIND * torch.minimum(*means)
    return term.clamp(min=_LEAST)[labels]


def cell_scores(
    likeness: Tensor, background: Tensor, votes: Tensor, prior: Tensor, labels: Tensor
) -> Tensor:
    """The score of each cell.

    Args:
        likeness: (n,) to the object.
        background: (n,) cosine to what is most like it beside it.
        votes: (n,) share of the examples in which the nearest cell is object.
        prior: (n,) see `seed_prior`.
        labels: (n,) clusters of the image.
    """
    like, unlike = spread(likeness), spread(background)
    score = likeness - _BACKGROUND * background
    score = score + _VOTES * (votes - 0.5) + _PRIOR * (prior - 0.5)
    unsure = (1 - 2 * (like - 0.5).abs()).clamp(0, 1) ** 1.5
    conflict = _DISAGREEMENT * ((like - votes).abs() + (like - prior).abs())
    conflict = (conflict + _AMBIGUITY * torch.minimum(like, unlike)) * unsure
    return score - conflict.clamp(max=_MOST) + region_term(like, unlike, labels)
