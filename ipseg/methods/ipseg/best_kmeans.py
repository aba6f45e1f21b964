"""K-means of a few dozen points, the best of four starts: the groups that scikit-learn gives.

`sklearn.cluster.KMeans` spends most of its time on other things than so few points, wakes threads,
and takes a second to import. Here all starts are worked on at once.

Source: Arthur and Vassilvitskii, "k-means++", SODA 2007, with greedy trials; Lloyd, 1982.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

_STARTS = 4
_ROUNDS = 300  # at most
_TOLERANCE = 1e-4  # of the variance: centres that move less have settled


def best_kmeans(points: npt.NDArray[Any], clusters: int, seed: int = 0) -> Groups:
    """Groups of least squared distance to their means.

    Args:
        points: (n, d), all different.
        clusters: at most n.
        seed: of the starts.

    Returns:
        (n,) group of each point, in [0, clusters); as `KMeans(clusters, n_init=4,
        random_state=seed)` where no two choices are equally good up to rounding.
    """
    x = np.asarray(points - points.mean(axis=0), dtype=np.float64)
    centres = x[_starts(x, clusters, seed)]
    groups = np.full((_STARTS, len(x)), -1)
    tolerance = _TOLERANCE * x.var(axis=0).mean()
    running = np.arange(_STARTS)
    for _ in range(_ROUNDS):
        before, nearest = centres[running], _nearest(x, centres[running])
        moved = _means(x, nearest, before)
        same = (nearest == groups[running]).all(axis=1)
        small = ((moved - before) ** 2).sum(axis=(1, 2)) <= tolerance
        centres[running], groups[running] = moved, nearest
        settled = running[small & ~same]
        groups[settled] = _nearest(x, centres[settled])
        running = running[~small & ~same]
        if not len(running):
            break
    own = np.take_along_axis(centres, groups[..., None], axis=1)
    # Added up in order, as there: the last bit decides between equal ones.
    inertia = ((x - own) ** 2).sum(axis=2).cumsum(axis=1)[:, -1]
    best: Groups = groups[inertia.argmin()]
    return best


def _starts(x: Array, clusters: int, seed: int) -> Groups:
    """(starts, clusters) indices of points that are far from each other."""
    count, trials = len(x), 2 + int(np.log(clusters))
    lengths = (x**2).sum(axis=1)
    gaps = np.maximum(-2 * (x @ x.T) + lengths[:, None] + lengths, 0)
    draws = np.random.RandomState(seed).random_sample((_STARTS, 1 + trials * (clusters - 1)))
    chosen = [(draws[:, 0] * count).astype(np.int64)]
    closest = gaps[chosen[0]]
    every = np.arange(_STARTS)
    for first in range(1, draws.shape[1], trials):
        total = closest.cumsum(axis=1)
        wanted = draws[:, first : first + trials] * total[:, -1:]
        tried = np.minimum((total[:, None] < wanted[..., None]).sum(axis=2), count - 1)
        left = np.minimum(closest[:, None], gaps[tried])
        best = (left @ np.ones(count)).argmin(axis=1)
        closest = left[every, best]
        chosen.append(tried[every, best])
    return np.stack(chosen, axis=1)


def _nearest(x: Array, centres: Array) -> Groups:
    """(starts, n) index of the nearest of (starts, clusters, d) centres."""
    squares = (centres**2).sum(axis=2)[:, None]
    return (squares - 2 * (x @ centres.swapaxes(1, 2))).argmin(axis=2)


def _means(x: Array, groups: Groups, before: Array) -> Array:
    """(starts, clusters, d) means; a group without points stays where it was."""
    members = (groups[:, None] == np.arange(before.shape[1])[:, None]).astype(np.float64)
    counts = members.sum(axis=2)[..., None]
    return np.where(counts > 0, members @ x * (1 / np.maximum(counts, 1)), before)
