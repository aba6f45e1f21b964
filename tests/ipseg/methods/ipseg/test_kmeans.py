"""K-means as released: against published starts, and a restatement with explicit distances."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.methods.ipseg.kmeans import initial_ranks, released_kmeans
from ipseg.methods.ipseg.points import top_cells

GOLDEN = Path(__file__).parents[3] / "golden"

CELLS = hnp.arrays(np.int64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(0, 9))


@pytest.fixture(scope="module")
def golden():
    made = runpy.run_path(str(GOLDEN / "make_matching.py"))
    stored = np.load(GOLDEN / "matching.npz")
    return [
        (made["score_map"](int(number)), centres)
        for number, centres in zip(stored["maps"], stored["centres"], strict=True)
    ]


@pytest.mark.parametrize(
    ("count", "ranks"),
    [
        (32, [12, 31]),
        (32, [12, 31, 25, 28]),
        (32, [12, 31, 25, 28, 19, 29, 9, 10]),
        (32, [12, 31, 25, 28, 19, 29, 9, 10, 6, 27, 4, 2, 3, 20, 24, 22]),
        (4, [0, 1, 3, 2]),
        (8, [4, 0, 7, 3]),
        (16, [12, 10, 9, 6]),
        (64, [44, 46, 17, 3]),
    ],
)
def test_starts_are_those_of_the_release(count, ranks):
    assert initial_ranks(count, len(ranks)) == ranks


def slanted(scores):
    flat = top_cells(scores, 32)
    return np.stack([flat % 60, flat / 60], axis=1)


def test_centres_are_those_of_the_release(golden):
    empty = 0
    for scores, centres in golden:
        found = released_kmeans(slanted(scores), 4)
        assert np.allclose(found, centres, atol=2e-5, equal_nan=True)
        empty += bool(np.isnan(centres).any())
    assert empty >= 5


def test_an_empty_cluster_takes_all_points_or_keeps_its_place(golden):
    for scores, centres in golden:
        if not np.isnan(centres).any():
            continue
        points = slanted(scores)
        collapsed = released_kmeans(points, 4, empty_cluster="collapse")
        assert np.isnan(collapsed).any(axis=1).sum() == 3
        left = collapsed[~np.isnan(collapsed).any(axis=1)]
        assert np.allclose(left, points.mean(axis=0), atol=1e-4)
        kept = released_kmeans(points, 4, empty_cluster="keep_previous")
        assert np.isfinite(kept).all()
        assert len(np.unique(kept, axis=0)) == 4


@given(CELLS, st.integers(1, 8), st.integers(0, 3))
def test_centres_lie_among_the_points(cells, clusters, seed):
    centres = released_kmeans(cells, clusters, seed=seed, empty_cluster="keep_previous")
    assert centres.shape == (min(clusters, len(cells)), 2)
    assert centres.dtype == np.float32
    assert (centres >= cells.min(axis=0) - 1e-5).all()
    assert (centres <= cells.max(axis=0) + 1e-5).all()
    again = released_kmeans(cells, clusters, seed=seed, empty_cluster="keep_previous")
    assert np.array_equal(centres, again)


@given(CELLS, st.integers(1, 8))
def test_a_collapse_leaves_exactly_the_mean_of_all(cells, clusters):
    centres = released_kmeans(cells, clusters)
    gone = np.isnan(centres).any(axis=1)
    if gone.any():
        assert (~gone).sum() == 1
        assert np.allclose(centres[~gone][0], cells.mean(axis=0), atol=1e-4)
    else:
        kept = released_kmeans(cells, clusters, empty_cluster="keep_previous")
        assert np.array_equal(centres, kept)
