import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ipseg.saliency.foreground import clean, grabcut, otsu, overlap, solidity

values = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-5, 5, width=32),
)
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def test_otsu_finds_the_gap_between_two_levels():
    assert 0.1 < otsu(np.array([0.1] * 70 + [0.9] * 30)) < 0.9


def test_otsu_of_uniform_values_is_the_middle():
    assert otsu(np.linspace(0, 1, 10001)) == pytest.approx(0.5, abs=0.01)


@given(values)
def test_otsu_stays_inside_the_range(array):
    assert array.min() - 1e-4 <= otsu(array) <= array.max() + 1e-4


@given(masks)
def test_clean_never_erases_a_mask_and_never_invents_one(mask):
    assert clean(mask).any() == mask.any()


def test_clean_fills_holes_and_removes_small_components():
    mask = np.zeros((60, 60), bool)
    mask[10:40, 10:40] = True
    mask[20:25, 20:25] = False
    mask[50:54, 50:54] = True
    expected = np.zeros((60, 60), bool)
    expected[10:40, 10:40] = True
    assert np.array_equal(clean(mask), expected)


@given(masks)
def test_clean_leaves_no_hole(mask):
    cleaned = clean(mask)
    assert np.array_equal(cleaned, ndimage.binary_fill_holes(cleaned))


def test_grabcut_corrects_a_rough_start():
    image = np.full((80, 120, 3), 60, np.uint8)
    truth = np.zeros((80, 120), bool)
    truth[20:60, 30:80] = True
    image[truth] = (200, 80, 40)
    image += np.random.default_rng(0).integers(0, 20, image.shape, dtype=np.uint8)
    rough = np.roll(truth, (6, 8), (0, 1))
    fitted = grabcut(image, np.where(rough, 0.7, 0.3).astype(np.float32))
    assert overlap(rough, truth) < 0.6
    assert overlap(fitted, truth) > 0.98


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_grabcut_without_two_sides_returns_its_start(level):
    soft = np.full((20, 20), level, np.float32)
    assert np.array_equal(grabcut(np.zeros((20, 20, 3), np.uint8), soft), soft > 0.5)


@given(masks)
def test_overlap_with_itself_is_one(mask):
    assert overlap(mask, mask) == float(mask.any())


def test_solidity_distinguishes_a_block_from_fragments():
    block = np.zeros((50, 50), bool)
    block[10:30, 10:30] = True
    corners = np.zeros((50, 50), bool)
    corners[[5, 5, 45, 45], [5, 45, 5, 45]] = True
    assert solidity(block) == 1
    assert solidity(corners) < 0.01
