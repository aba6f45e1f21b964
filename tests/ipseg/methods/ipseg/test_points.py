import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from threadpoolctl import threadpool_limits

from ipseg.errors import ConfigError
from ipseg.methods.ipseg.kmeans import released_kmeans
from ipseg.methods.ipseg.points import PointSelection, top_cells
from ipseg.parts import build
from ipseg.vision.geometry import cell_centres

GOLDEN = Path(__file__).parents[3] / "golden"
MAPS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=24),
    # Few values, so that ties are common.
    elements=st.sampled_from([np.float32(v) for v in (-1.5, 0, 0.25, 0.5, 1, 3)]),
)
SELECTIONS = st.builds(
    PointSelection,
    k=st.integers(1, 40),
    clusters=st.integers(1, 6),
    k_negative=st.none() | st.integers(0, 40),
    clusters_negative=st.none() | st.integers(1, 6),
    blur=st.sampled_from([0.0, 1.0]),
    snap=st.booleans(),
    seed=st.integers(0, 3),
    kmeans=st.sampled_from(["sklearn", "released"]),
)
RELEASED = PointSelection(kmeans="released", y_bias=True, empty_cluster="collapse", overlap=True)


def pixel_to_cell(points, grid, width, height):
    """The cell (x, y) that each pixel coordinate lies in."""
    rows, columns = grid
    return np.floor(points * np.array([columns / width, rows / height])).astype(np.int64)


def two_blobs(shape=(45, 60)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    near = np.exp(-((x - 12) ** 2 + (y - 10) ** 2) / 30)
    far = np.exp(-((x - 45) ** 2 + (y - 30) ** 2) / 30)
    return (near + 0.98 * far).astype(np.float32)


def test_a_cell_is_both_kinds_only_where_that_is_set():
    flat = np.full((4, 5), 0.5, np.float32)
    apart, both = (
        PointSelection(k=2, clusters=2, snap=True, overlap=overlap) for overlap in (False, True)
    )
    coords, labels = both.select(flat, 50, 40)
    np.testing.assert_array_equal(coords[labels == 1], coords[labels == 0])
    coords, labels = apart.select(flat, 50, 40)
    assert not set(map(tuple, coords[labels == 1])) & set(map(tuple, coords[labels == 0]))
    ordered = np.arange(20, dtype=np.float32).reshape(4, 5)
    for k, same in ((10, True), (12, False)):
        found = [
            PointSelection(k=k, clusters=k, snap=True, overlap=overlap).select(ordered, 50, 40)
            for overlap in (False, True)
        ]
        assert np.array_equal(found[0][0], found[1][0]) == same
        assert len(found[1][1]) == 2 * k


def test_top_cells_is_stable():
    scores = np.array([[1, 3, 2], [3, 0, 2]], np.float32)
    assert top_cells(scores, 4).tolist() == [1, 3, 2, 5]
    assert top_cells(scores, 99).tolist() == [1, 3, 2, 5, 0, 4]
    assert top_cells(np.zeros((3, 3), np.float32), 4).tolist() == [0, 1, 2, 3]


@given(MAPS, st.integers(1, 30))
def test_top_cells_against_a_sort_of_tuples(scores, k):
    expected = sorted(range(scores.size), key=lambda i: (-scores.flat[i], i))[:k]
    assert top_cells(scores, k).tolist() == expected


@settings(deadline=None, max_examples=150)
@given(MAPS, SELECTIONS, st.integers(16, 4000), st.integers(16, 4000))
def test_points_are_few_inside_and_ordered(similarity, selection, width, height):
    before = similarity.copy()
    coords, labels = selection.select(similarity, width, height)
    np.testing.assert_array_equal(similarity, before)
    assert coords.dtype == np.float32
    assert labels.dtype == np.int8
    assert coords.shape == (len(labels), 2)
    positives = int((labels == 1).sum())
    assert labels.tolist() == [1] * positives + [0] * (len(labels) - positives)
    half = similarity.size // 2
    assert positives == min(selection.k, selection.clusters, max(1, half))
    k_negative = selection.k if selection.k_negative is None else selection.k_negative
    clusters = selection.clusters_negative or selection.clusters
    assert len(labels) - positives == min(k_negative, clusters, half)
    assert (coords > 0).all()
    assert (coords < [width, height]).all()
    again = selection.select(similarity, width, height)
    np.testing.assert_array_equal(again[0], coords)
    if selection.snap:  # points are then cells, and none is both kinds
        cells = pixel_to_cell(coords, similarity.shape, width, height)
        np.testing.assert_allclose(
            cell_centres(cells, similarity.shape, width, height), coords, rtol=1e-6
        )
        kinds = [set(map(tuple, cells[labels == label].tolist())) for label in (0, 1)]
        assert not kinds[0] & kinds[1]


def test_points_find_the_parts_of_an_object():
    coords, labels = PointSelection(k=32, clusters=2).select(two_blobs(), 600, 450)
    positive = coords[labels == 1]
    np.testing.assert_allclose(positive, [[125, 105], [455, 305]], atol=8)
    # The blob with the best cell comes first, wherever it is.
    coords, _ = PointSelection(k=32, clusters=2).select(two_blobs()[:, ::-1], 600, 450)
    np.testing.assert_allclose(coords[:2], [[475, 105], [145, 305]], atol=8)


def test_snap_stays_on_a_ring():
    y, x = np.mgrid[:41, :41] - 20
    ring = (-np.abs(np.hypot(x, y) - 12)).astype(np.float32)
    free, _ = PointSelection(k=60, clusters=1, k_negative=0).select(ring, 41, 41)
    assert np.linalg.norm(free[0] - 20.5) < 1  # the mean of a ring is in its hole
    snapped, _ = PointSelection(k=60, clusters=1, k_negative=0, snap=True).select(ring, 41, 41)
    assert abs(np.linalg.norm(snapped[0] - 20.5) - 12) < 1


def test_blur_passes_over_a_lonely_cell():
    similarity = two_blobs()
    similarity[44, 0] = 5
    sharp, _ = PointSelection(k=8, clusters=4).select(similarity, 60, 45)
    assert sharp[0].tolist() == [0.5, 44.5]
    blurred, labels = PointSelection(k=8, clusters=4, blur=2.0).select(similarity, 60, 45)
    assert (np.linalg.norm(blurred[labels == 1] - (0.5, 44.5), axis=1) > 5).all()


def test_negatives_are_ranked_in_fp32():
    # 1 - s merges values that differ: then the lowest flat index counts, as it does if published.
    similarity = np.array([[1.0, 2e-9, 1e-9, 1.0]], np.float32)
    coords, labels = PointSelection(k=1, clusters=1).select(similarity, 4, 1)
    assert coords[labels == 0].tolist() == [[1.5, 0.5]]


def test_small_grids():
    one, labels = PointSelection().select(np.zeros((1, 1), np.float32), 30, 20)
    assert one.tolist() == [[15, 10]]
    assert labels.tolist() == [1]
    coords, labels = PointSelection().select(np.array([[0.2, 0.9]], np.float32), 40, 20)
    assert coords.tolist() == [[30, 10], [10, 10]]
    assert labels.tolist() == [1, 0]
    flat, labels = PointSelection(clusters=9).select(np.ones((3, 3), np.float32), 3, 3)
    assert len({tuple(point) for point in flat.tolist()}) == len(flat) == 8


def test_released_points_are_the_same_in_the_frame_of_1024():
    # The release squashes images to 1024 x 1024 and puts cell p at p * 1024 / 60 + 1024 / 120.
    y, x = np.mgrid[:60, :60]
    similarity = np.exp(-((x - 14) ** 2 / 90 + (y - 40) ** 2 / 50)).astype(np.float32)
    coords, labels = RELEASED.select(similarity, 640, 427)
    points = []
    for scores in (similarity, 1 - similarity):
        flat = top_cells(scores, 32)
        points.append(released_kmeans(np.stack([flat % 60, flat / 60], axis=1), 4))
    published = np.concatenate(points).astype(np.float64) * 1024 / 60 + 1024 / 120
    np.testing.assert_allclose(coords * [1024 / 640, 1024 / 427], published, atol=1e-3)
    assert labels.tolist() == [1] * 4 + [0] * 4


def test_the_slant_of_the_release_grows_to_the_right():
    similarity = np.zeros((60, 60), np.float32)
    similarity[59, 0] = 2
    similarity[59, 59] = 1
    for kmeans in ("sklearn", "released"):
        options = {"k": 2, "clusters": 2, "k_negative": 0, "kmeans": kmeans}
        straight, _ = PointSelection(**options).select(similarity, 60, 60)
        slanted, _ = PointSelection(**options, y_bias=True).select(similarity, 60, 60)
        assert straight.tolist() == [[0.5, 59.5], [59.5, 59.5]]
        np.testing.assert_allclose(slanted, [[0.5, 59.5], [59.5, 59.5 + 59 / 60]], rtol=1e-6)


def test_a_collapsed_cluster_leaves_one_point_of_its_kind():
    stored = np.load(GOLDEN / "matching.npz")
    score_map = runpy.run_path(str(GOLDEN / "make_matching.py"))["score_map"]
    for number, centres in zip(stored["maps"], stored["centres"], strict=True):
        similarity = score_map(int(number))
        coords, labels = RELEASED.select(similarity, 60, 60)
        kept = ~np.isnan(centres).any(axis=1)
        np.testing.assert_allclose(coords[labels == 1], centres[kept] + 0.5, atol=5e-5)
        _, labels = PointSelection(kmeans="released").select(similarity, 60, 60)
        assert labels.tolist() == [1] * 4 + [0] * 4


def test_thread_count_changes_nothing():
    similarity = np.random.default_rng(0).random((60, 60), dtype=np.float32)
    selection = PointSelection(k=800, clusters=8)  # more cells than one chunk of sklearn's k-means
    expected, _ = selection.select(similarity, 600, 600)
    with threadpool_limits(4):
        coords, _ = selection.select(similarity, 600, 600)
    np.testing.assert_array_equal(coords, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    similarity = two_blobs()
    similarity[3, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        PointSelection().select(similarity, 60, 45)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"clusters": 0},
        {"k_negative": -1},
        {"clusters_negative": 0},
        {"clusters_negative": -2},
        {"blur": -1.0},
        {"seed": -1},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"points.*: .*greater than or equal to"):
        build(PointSelection, "points", wrong)
