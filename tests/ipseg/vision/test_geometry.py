import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipseg.vision.geometry import cell_centres, grid_shape, resize_map

SIDES = st.integers(1, 3000)
HOWS = ["bilinear", "nearest", "area"]


@given(SIDES, SIDES, st.integers(1, 80))
def test_grid_shape(width, height, long_side):
    assert grid_shape(width, height, long_side, square=True) == (long_side, long_side)
    rows, columns = grid_shape(width, height, long_side, square=False)
    assert max(rows, columns) == long_side
    assert min(rows, columns) >= 1
    assert abs(rows - height * long_side / max(width, height)) <= 1
    assert grid_shape(height, width, long_side, square=False) == (columns, rows)


def test_grid_shape_of_common_photos():
    assert grid_shape(640, 480, 60, square=False) == (45, 60)
    assert grid_shape(480, 640, 60, square=False) == (60, 45)
    assert grid_shape(5000, 10, 60, square=False) == (1, 60)


@given(SIDES, SIDES, st.integers(1, 80), st.integers(1, 80))
def test_centres_are_in_their_cells(width, height, rows, columns):
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2).reshape(-1, 2)
    centres = cell_centres(cells, (rows, columns), width, height)
    assert centres.dtype == np.float32
    inside = np.floor(centres * [columns / width, rows / height])
    np.testing.assert_array_equal(inside, cells)
    # Symmetric: the last centre is as far from the far corner as the first from the near one.
    np.testing.assert_allclose(centres[0] + centres[-1], [width, height], rtol=1e-5)


def test_cells_in_pixels():
    centres = cell_centres(np.array([[0, 0], [59, 44], [1.5, 0]]), (45, 60), 640, 480)
    np.testing.assert_allclose(
        centres, [[5.3333, 5.3333], [634.667, 474.667], [21.3333, 5.3333]], 1e-4
    )


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(deadline=None, max_examples=60)
@given(SHAPES, SHAPES, st.sampled_from(HOWS), st.integers(0, 99))
def test_resize_keeps_shape_range_and_symmetry(shape, wanted, how, seed):
    values = np.random.default_rng(seed).random(shape, dtype=np.float32)
    resized = resize_map(values, wanted, how)
    assert resized.shape == wanted
    assert resized.dtype == np.float32
    assert resized.min() >= values.min() - 1e-6
    assert resized.max() <= values.max() + 1e-6
    if how != "nearest":  # a centre halfway between two cells goes to one of them
        mirrored = resize_map(values[::-1, ::-1], wanted, how)[::-1, ::-1]
        np.testing.assert_allclose(mirrored, resized, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(SHAPES, SHAPES, st.integers(0, 99))
def test_area_keeps_the_mean_along_axes_that_become_shorter(shape, wanted, seed):
    values = np.random.default_rng(seed).random(shape, dtype=np.float32)
    fewer_rows = resize_map(values, (min(shape[0], wanted[0]), shape[1]), "area")
    np.testing.assert_allclose(fewer_rows.mean(axis=0), values.mean(axis=0), atol=1e-5)
    fewer_columns = resize_map(values, (shape[0], min(shape[1], wanted[1])), "area")
    np.testing.assert_allclose(fewer_columns.mean(axis=1), values.mean(axis=1), atol=1e-5)
    # Axes do not mix: one that grows meanwhile changes nothing for the other.
    both = resize_map(fewer_rows, (fewer_rows.shape[0], wanted[1]), "area")
    np.testing.assert_allclose(
        resize_map(values, (fewer_rows.shape[0], wanted[1]), "area"), both, atol=1e-5
    )


@pytest.mark.parametrize("how", HOWS)
def test_enlarging_is_centre_aligned(how):
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    large = resize_map(ramp, (12, 24), how)
    np.testing.assert_allclose(large[:, 1::3], np.tile(ramp, (3, 1))[:12], atol=1e-5)


def test_area_is_the_mean_over_each_cell():
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_allclose(
        resize_map(values, (2, 2), "area"), values.reshape(2, 2, 2, 3).mean((1, 3))
    )


def test_equal_shape_is_not_copied():
    values = np.zeros((3, 4), np.float32)
    assert resize_map(values, (3, 4)) is values
