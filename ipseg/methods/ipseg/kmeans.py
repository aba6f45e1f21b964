"""K-means as the released IPSeg code has it, to the number: its starts, stop rule and fault.

Source: `ipseg_fss.py`. In torch, because the starts come from torch's random stream and the
distances from its `cdist`, which rounds in a way of its own.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

EmptyCluster = Literal["collapse", "keep_previous"]

_MAX_ITERATIONS = 20


def initial_ranks(count: int, clusters: int, seed: int = 0) -> list[int]:
    """Which of `count` ranked points the clusters start from; fewer where `count` is less."""
    generator = torch.Generator().manual_seed(seed)
    return [int(rank) for rank in torch.randperm(count, generator=generator)[:clusters]]


def released_kmeans(
    points: npt.NDArray[Any],
    clusters: int,
    *,
    seed: int = 0,
    empty_cluster: EmptyCluster = "collapse",
) -> npt.NDArray[np.float32]:
    """Centres of Lloyd's algorithm from one start, stopped when nothing moves or after 20 rounds.

    Args:
        points: (n, d) in order of rank, n >= 1.
        clusters: at least 1.
        seed: of the starts.
        empty_cluster: 'collapse' gives an empty cluster the centre NaN, as the mean of nothing.
            NaN then counts as nearest to every point, so that all points gather in one cluster
            and never settle (released). 'keep_previous' leaves an empty cluster where it was.

    Returns:
        (min(clusters, n), d) float32 in order of the starts; rows may be NaN after 'collapse'.
    """
    cells = torch.from_numpy(np.asarray(points, dtype=np.float32))
    centres = cells[initial_ranks(len(cells), clusters, seed)]
    for _ in range(_MAX_ITERATIONS):
        # Centres first: the other way round, cdist rounds otherwise and ties go elsewhere.
        nearest = torch.cdist(centres, cells).argmin(dim=0)
        moved = torch.stack([cells[nearest == c].mean(dim=0) for c in range(len(centres))])
        if empty_cluster == "keep_previous":
            moved = torch.where(moved.isnan(), centres, moved)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.numpy()
