import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data

from ipseg.vision.superpixels import superpixels, to_lab, work_image


@pytest.mark.parametrize("shape", [(16, 16), (400, 600), (3, 500), (500, 3), (1, 1)])
def test_work_image_has_the_given_long_side_and_keeps_the_aspect(shape):
    work = work_image(np.zeros((*shape, 3), np.uint8), 320)
    side = 320 if 3 * max(shape) >= 320 else 192  # thumbnails are not enlarged as far
    assert max(work.shape[:2]) == side
    wanted = np.array(shape) * side / max(shape)
    assert np.abs(np.array(work.shape[:2]) - wanted).max() <= 1


def test_how_far_a_thumbnail_is_enlarged_can_be_said():
    assert work_image(np.zeros((64, 48), np.uint8), 720, enough=432).shape == (432, 324)
    assert work_image(np.zeros((64, 48), np.uint8), 320, enough=432).shape == (320, 240)


def test_work_image_averages_when_it_shrinks():
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[::2] = 200
    assert np.all(work_image(stripes, 320) == 100)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_superpixels_are_a_partition_with_consistent_measures(height, width, count, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    lab = to_lab(noise)
    pieces = superpixels(lab, count)
    assert np.array_equal(np.unique(pieces.labels), np.arange(len(pieces)))
    assert pieces.area.sum() == height * width
    np.testing.assert_allclose(
        pieces.area @ pieces.colour, lab.sum(axis=(0, 1), dtype=float), rtol=1e-4, atol=1e-2
    )
    assert np.array_equal(pieces.touching, pieces.touching.T)
    assert not pieces.touching.diagonal().any()
    assert pieces.border.sum() <= 2 * (height + width)
    assert pieces.centre.min() > 0
    assert pieces.centre.max() < 1


def test_superpixels_of_a_photo_are_connected_and_about_the_given_number():
    pieces = superpixels(to_lab(work_image(data.coffee(), 320)), 250)
    assert 180 <= len(pieces) <= 320
    for label in range(len(pieces)):
        assert ndimage.label(pieces.labels == label)[1] == 1


def test_mean_and_paint_are_inverse_on_constant_pieces():
    pieces = superpixels(to_lab(work_image(data.coffee(), 160)), 60)
    values = np.arange(len(pieces), dtype=float)
    np.testing.assert_allclose(pieces.mean(pieces.paint(values)), values)
