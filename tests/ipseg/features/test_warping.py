"""Planes of a prompt over the grid of an image."""

import numpy as np
import pytest

from ipseg.features.warping import Warp

STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


@pytest.fixture
def plane():
    return np.random.default_rng(0).random((20, 30)).astype(np.float32)


def test_the_same_place_at_the_same_size_is_the_same_plane(plane):
    warp = Warp(STILL, mirrored=False, extent=(30, 20), shape=(20, 30))
    np.testing.assert_allclose(warp(plane, (20, 30)), plane, atol=1e-5)


def test_a_mirrored_prompt_is_mirrored_before_it_is_moved(plane):
    moved = np.array([[1.0, 0, 4], [0, 1, 2]])
    warp = Warp(moved, mirrored=True, extent=(30, 20), shape=(20, 30))
    np.testing.assert_allclose(warp(plane, (20, 30))[2:, 4:], plane[:18, ::-1][:, :26], atol=1e-5)


def test_corners_of_cells_stay_corners_on_another_grid():
    half = np.zeros((8, 8), np.float32)
    half[:, 4:] = 1
    warp = Warp(STILL, mirrored=False, extent=(80, 80), shape=(80, 80))
    np.testing.assert_allclose(warp(half, (4, 4)), [[0, 0, 1, 1]] * 4, atol=1e-5)


@pytest.mark.parametrize(("extend", "beyond"), [(False, 0), (True, 1)])
def test_beyond_the_prompt_is_nothing_or_its_border(extend, beyond):
    moved = np.array([[1.0, 0, 15], [0, 1, 0]])
    warp = Warp(moved, mirrored=False, extent=(30, 20), shape=(20, 30))
    colours = np.ones((20, 30, 3), np.float32)
    np.testing.assert_array_equal(warp(colours, (20, 30), extend=extend)[:, :10], beyond)
