"""Groups of alike cells of an image, whatever is looked for in it.

Source: INSID3, released code: average linkage of cosine distances, with scikit-learn, whose
clustering without neighbourhoods is SciPy's.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor
from torch.nn import functional


def clusters_of(features: Tensor, alike: float) -> Tensor:
    """The cluster of each cell.

    Args:
        features: (n, c) unit vectors, n >= 1.
        alike: clusters are joined while the mean cosine of their cells is above it.

    Returns:
        (n,) int64 from 0, on the device of `features`.
    """
    if len(features) == 1:
        return torch.zeros(1, dtype=torch.int64, device=features.device)
    distances = 1 - features @ features.T
    condensed = squareform(distances.double().cpu().numpy(), checks=False)
    merges = linkage(condensed, method="average")
    # Equal cells may be a rounding error less than nothing apart, which `fcluster` refuses.
    merges[:, 2] = merges[:, 2].clip(min=0)
    # Strictly below the limit, and `fcluster` takes in the limit itself.
    labels = fcluster(merges, np.nextafter(1 - alike, 0), criterion="distance")
    return torch.from_numpy(labels.astype(np.int64) - 1).to(features.device)


def cluster_means(values: Tensor, labels: Tensor, count: int) -> Tensor:
    """Means over clusters of values (n,) or (n, c): (count,) or (count, c)."""
    sums = values.new_zeros(count, *values.shape[1:]).index_add_(0, labels, values)
    sizes = torch.bincount(labels, minlength=count).to(values.dtype)
    return sums / sizes.view(-1, *[1] * (values.ndim - 1))


def cluster_directions(features: Tensor, labels: Tensor, count: int) -> Tensor:
    """(count, c) unit vectors: the mean feature of each cluster."""
    return functional.normalize(cluster_means(features, labels, count), dim=1)
