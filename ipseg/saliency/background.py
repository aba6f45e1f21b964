"""Background weights of superpixels: robust background detection.

Source: Zhu, Liang, Wei, Sun, "Saliency Optimization from Robust Background Detection", CVPR 2014.
A region is background if the length of its outline on the image border is large compared to its
size, which is much more robust than "everything at the border is background".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

from ipseg.vision.superpixels import Superpixels

Vector = npt.NDArray[np.float64]

_GEODESIC_SIGMA = 7.0  # Lab units; the paper's value for its colour distances is 10
_CONTRAST_REACH = 0.4  # of the image side; the paper's value is 0.25


def background_weight(pieces: Superpixels, distance: npt.NDArray[np.float64]) -> Vector:
    """Background probability of each superpixel: (n,) float64 in [0, 1] (paper, eq. 4-5).

    Args:
        pieces: superpixels of the image.
        distance: (n, n) colour distances.
    """
    if len(pieces) == 1:
        return np.ones(1)
    at_border = pieces.border > 0
    # Border superpixels are linked, so that a background split by the object stays connected.
    linked = linked_at_border(pieces, pieces.touching)
    # Distances below the mean distance to the nearest neighbour are noise.
    noise = float(np.where(linked, distance, np.inf).min(axis=1).mean())
    lengths = np.maximum(distance - noise, 1e-4)  # zero means "no edge"
    graph = csr_array(np.where(linked, lengths, 0.0))  # SciPy takes longer for a dense one
    # Floyd-Warshall: all pairs of a few hundred nodes, of which those at the border are all linked.
    geodesic = shortest_path(graph, method="FW")
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
    gap = cdist(pieces.centre, pieces.centre, "sqeuclidean")
    nearness = np.exp(-gap / (2 * _CONTRAST_REACH**2))
    return unit_range((distance * nearness) @ background)


def linked_at_border(pieces: Superpixels, links: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Adds links between all superpixels at the image border: (n, n) bool, none with itself."""
    at_border = pieces.border > 0
    linked = links | (at_border[:, None] & at_border)
    np.fill_diagonal(linked, False)
    return linked


def centre_prior(pieces: Superpixels, sigma: float) -> Vector:
    """Gaussian of the distance to the image centre (image side = 1): (n,) float64 in (0, 1]."""
    return np.exp(-((pieces.centre - 0.5) ** 2).sum(axis=1) / (2 * sigma**2))


def diffuse(weights: npt.NDArray[np.float64], targets: Vector, trust: Vector) -> Vector:
    """Smooths noisy evidence on a graph: minimises Σ w (x_i - x_j)² + Σ trust (x - target)².

    Args:
        weights: (n, n) symmetric, non-negative.
        targets: (n,) evidence for each node.
        trust: (n,) its weight; the sum must be positive in each connected component.

    Returns:
        (n,) float64 within the range of `targets` (paper, eq. 9, in closed form).
    """
    # Dense: a sparse solver takes longer for a few hundred nodes.
    system = np.diag(weights.sum(axis=1) + trust) - weights
    return np.asarray(np.linalg.solve(system, trust * targets), dtype=np.float64)


def unit_range(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Rescales to [0, 1]; constant input gives zeros."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return np.zeros(values.shape)
    return np.asarray((values - low) / (high - low), dtype=np.float64)
