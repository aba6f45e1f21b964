"""Gaussian filters over points in a few dimensions, such as place and colour of pixels.

Source: Adams et al., "Fast High-Dimensional Filtering Using the Permutohedral Lattice" (2010).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Values = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class GaussianLattice:
    """Means over all points, weighted by exp(-|difference|^2 / 2).

    Points give their values to the corners of the cells of a lattice, which are blurred along its
    axes, and take them back from there: the work is proportional to the number of points.
    """

    def __init__(self, points: Values) -> None:
        """Prepares points (n, d), in units of the deviation along each axis."""
        corners, shares = _simplices(np.asarray(points, np.float64))
        count, size, dimensions = corners.shape
        low = corners.reshape(-1, dimensions).min(axis=0) - dimensions - 1
        spans = corners.reshape(-1, dimensions).max(axis=0) - low + dimensions + 2
        steps = np.cumprod([1, *spans[:-1]]).astype(np.int64)
        keys, index = np.unique(((corners - low) @ steps).ravel(), return_inverse=True)
        pixels = np.repeat(np.arange(count), size)
        self._shares = sparse.csr_array(
            (shares.ravel(), (pixels, index.ravel())), shape=(count, len(keys))
        )
        self._given = self._shares.T.tocsr()
        self._blurs = [_blur(keys, int(offset @ steps)) for offset in _axes(dimensions)]
        self._total = self._filtered(np.ones(count))

    def means(self, values: Values) -> Values:
        """Weighted means (n,) of values (n,)."""
        return self._filtered(values) / self._total

    def _filtered(self, values: Values) -> Values:
        at_corners = self._given @ values
        for blur in self._blurs:
            at_corners = at_corners + 0.5 * (blur @ at_corners)
        return np.asarray(self._shares @ at_corners)


def _axes(dimensions: int) -> Integers:
    """(d + 1, d) offsets to the next corner along each axis; the last coordinate follows."""
    whole = np.ones((dimensions + 1, dimensions + 1), np.int64)
    np.fill_diagonal(whole, -dimensions)
    return whole[:, :dimensions]


def _blur(keys: Integers, offset: int) -> sparse.csr_array:
    """Adds the values of both neighbours of each corner along an axis; (m, m)."""
    rows, columns = [], []
    for step in (offset, -offset):
        at = np.minimum(np.searchsorted(keys, keys + step), len(keys) - 1)
        found = np.flatnonzero(keys[at] == keys + step)
        rows.append(found)
        columns.append(at[found])
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.ones(len(where[0])), where), shape=(len(keys), len(keys)))


def _simplices(points: Values) -> tuple[Integers, Values]:
    """The corners around each point and their shares in it: (n, d + 1, d) and (n, d + 1)."""
    count, d = points.shape
    number = np.arange(1, d + 1)
    # The blur has a variance of its own, which this scale takes into account.
    scaled = points * ((d + 1) * np.sqrt(2 / 3) / np.sqrt(number * (number + 1)))
    later = np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]  # the sum from each coordinate on
    raised = np.empty((count, d + 1))
    raised[:, :d] = later
    raised[:, d] = 0
    raised[:, 1:] -= number * scaled
    nearest = np.rint(raised / (d + 1)).astype(np.int64) * (d + 1)
    excess = nearest.sum(axis=1) // (d + 1)
    # Corners sum up to 0: those that were rounded farthest go back.
    rank = np.argsort(np.argsort(nearest - raised, axis=1, kind="stable"), axis=1, kind="stable")
    rank = rank + excess[:, None]
    over, under = rank > d, rank < 0
    nearest += (d + 1) * (under.astype(np.int64) - over)
    rank += (d + 1) * (under.astype(np.int64) - over)
    ahead = (raised - nearest) / (d + 1)
    shares = np.zeros((count, d + 2))
    every = np.arange(count)[:, None]
    shares[every, d - rank] += ahead  # the ranks of a point are all different
    shares[every, d + 1 - rank] -= ahead
    shares[:, 0] += 1 + shares[:, d + 1]
    corner = np.arange(d + 1)
    canonical = corner[:, None] - (d + 1) * (corner[None, :] > d - corner[:, None])
    corners = nearest[:, None, :] + canonical[:, rank].transpose(1, 0, 2)
    return corners[:, :, :d], shares[:, : d + 1]
