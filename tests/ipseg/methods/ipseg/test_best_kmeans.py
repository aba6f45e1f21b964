"""K-means of cells of a grid: against scikit-learn, which is the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from ipseg.methods.ipseg.best_kmeans import best_kmeans
from ipseg.methods.ipseg.points import top_cells


@st.composite
def cells(draw, count):
    """The best cells of a map: blobs, which points of an object are, or noise."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y, x = np.mgrid[:30, :40]
    blobs = random.uniform(0, 30, (draw(st.integers(1, 3)), 2))
    far = [((x - a) ** 2 + (y - b) ** 2) for a, b in blobs]
    noise = draw(st.sampled_from([0.0, 10.0, 1000.0])) * random.random((30, 40))
    flat = top_cells(-(np.min(far, axis=0) + noise).astype(np.float32), count)
    return np.stack([flat % 40, flat // 40], axis=1).astype(np.float64)


def inertia(points, groups):
    return sum(
        ((points[groups == g] - points[groups == g].mean(axis=0)) ** 2).sum() for g in set(groups)
    )


@settings(deadline=None)
@given(cells(32), st.integers(1, 8), st.integers(0, 3))
def test_the_groups_are_those_of_scikit_learn(points, clusters, seed):
    found = best_kmeans(points, clusters, seed)
    wanted = KMeans(clusters, n_init=4, random_state=seed).fit_predict(points)
    same = len({*zip(found, wanted, strict=True)}) == len({*found}) == len({*wanted}) == clusters
    # Partitions that are exactly as good can differ: rounding chooses.
    assert same or inertia(points, found) == pytest.approx(inertia(points, wanted))


@settings(deadline=None)
@given(cells(23), st.integers(1, 23))
def test_every_point_is_in_the_group_of_the_nearest_mean(points, clusters):
    found = best_kmeans(points, clusters)
    assert set(found) == set(range(clusters))
    means = np.stack([points[found == g].mean(axis=0) for g in range(clusters)])
    distance = ((points[:, None] - means) ** 2).sum(axis=2)
    own = distance[np.arange(len(points)), found]
    assert (own <= distance.min(axis=1) + 1e-6).all()
