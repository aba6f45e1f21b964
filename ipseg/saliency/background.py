"""Background weights of superpixels: robust background detection.

Source: Zhu, Liang, Wei, Sun, "Saliency Optimization from Robust Background Detection", CVPR 2014.
A region is background if the length of its outline on the image border is large compared to its
size, which is much more robust than "everything at the border is background".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import shortest_path
from scipy.sparse.linalg import spsolve

from ipseg.vision.superpixels import Superpixels

Vector = npt.NDArray[np.float64]

_GEODESIC_SIGMA = 7.0  # Lab units; the paper's value for its colour distances is 10
_CONTRAST_REACH = 0.4  # of the image side; the paper's value is 0.25


def colour_distance(pieces: Superpixels) -> npt.NDArray[np.float64]:
    """Euclidean Lab distance between all superpixels: (n, n) float64."""
    difference = pieces.colour[:, None, :] - pieces.colour[None, :, :]
    return np.sqrt((difference**2).sum(axis=2))


def background_weight(pieces: Superpixels, distance: npt.NDArray[np.float64]) -> Vector:
    """Background probability of each superpixel: (n,) float64 in [0, 1] (paper, eq. 4-5).

    Args:
        pieces: superpixels of the image.
        distance: (n, n) colour distances.
    """
    count = len(pieces)
    at_border = np.flatnonzero(pieces.border > 0)
    # Border superpixels are linked, so that a background split by the object stays connected.
    first, second = np.triu_indices(len(at_border), 1)
    links = np.concatenate(
        [pieces.edges, np.stack([at_border[first], at_border[second]], axis=1)], axis=0
    )
    if len(links) == 0:
        return np.ones(count)
    links = np.unique(np.sort(links, axis=1), axis=0)
    lengths = distance[links[:, 0], links[:, 1]]
    # Distances below the mean distance to the nearest neighbour are noise.
    nearest = np.full(count, np.inf)
    np.minimum.at(nearest, links[:, 0], lengths)
    np.minimum.at(nearest, links[:, 1], lengths)
    noise = float(nearest[np.isfinite(nearest)].mean())
    lengths = np.maximum(lengths - noise, 1e-4)  # zero would mean "no edge"
    graph = coo_array((lengths, (links[:, 0], links[:, 1])), shape=(count, count)).tocsr()
    # Floyd-Warshall: all pairs of a few hundred nodes, of which those at the border are all linked.
    geodesic = shortest_path(graph, method="FW", directed=False)
    similar = np.exp(-(geodesic**2) / (2 * _GEODESIC_SIGMA**2))
    span = (similar * (pieces.area / pieces.area.mean())[None, :]).sum(axis=1)
    outline = similar[:, at_border].sum(axis=1)
    connectivity = outline / np.sqrt(span)
    weight = 1 - np.exp(-(connectivity**2) / 2)
    return np.where(weight < 0.05, 0.0, weight)


def foreground_contrast(
    pieces: Superpixels, distance: npt.NDArray[np.float64], background: Vector
) -> Vector:
    """Colour contrast to the background nearby: (n,) float64 in [0, 1] (paper, eq. 7)."""
    gap = ((pieces.centre[:, None, :] - pieces.centre[None, :, :]) ** 2).sum(axis=2)
    nearness = np.exp(-gap / (2 * _CONTRAST_REACH**2))
    return unit_range((distance * nearness * background[None, :]).sum(axis=1))


def centre_prior(pieces: Superpixels, sigma: float) -> Vector:
    """Gaussian of the distance to the image centre (image side = 1): (n,) float64 in (0, 1]."""
    return np.exp(-((pieces.centre - 0.5) ** 2).sum(axis=1) / (2 * sigma**2))


def diffuse(weights: csr_array, targets: Vector, trust: Vector) -> Vector:
    """Smooths noisy evidence on a graph: minimises Σ w (x_i - x_j)² + Σ trust (x - target)².

    Args:
        weights: (n, n) symmetric, non-negative.
        targets: (n,) evidence for each node.
        trust: (n,) its weight; the sum must be positive in each connected component.

    Returns:
        (n,) float64 within the range of `targets` (paper, eq. 9, in closed form).
    """
    degree = np.asarray(weights.sum(axis=1)).ravel()
    system = (diags_array(degree + trust) - weights).tocsc()
    return np.asarray(np.atleast_1d(spsolve(system, trust * targets)), dtype=np.float64)


def unit_range(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Rescales to [0, 1]; constant input gives zeros."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return np.zeros(values.shape)
    return np.asarray((values - low) / (high - low), dtype=np.float64)
