import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from ipseg.vision.letterbox import (
    kept_band,
    letterbox,
    mask_on_cells,
    nearest_indices,
    source_cells,
)

SIDES = st.integers(1, 5000)
GRIDS = st.integers(1, 80)

# Width, height, and first and end row for grids of 15, 30 and 60, as the released code has them.
BANDS = [
    (640, 480, (2, 13), (4, 26), (7, 53)),
    (500, 375, (2, 13), (4, 26), (7, 53)),
    (4032, 3024, (2, 13), (4, 26), (7, 53)),
    (640, 427, (2, 13), (5, 25), (10, 50)),
    (640, 426, (3, 12), (5, 25), (10, 50)),
    (500, 334, (2, 13), (5, 25), (10, 50)),
    (1920, 1080, (3, 12), (7, 23), (13, 47)),
    (700, 700, (0, 15), (0, 30), (0, 60)),
]


def test_a_wide_image_is_centred_in_a_black_square():
    photo = data.coffee()  # 400 x 600
    canvas = letterbox(photo, 96)
    assert canvas.shape == (96, 96, 3)
    assert canvas.dtype == np.uint8
    assert not canvas[:16].any()
    assert not canvas[80:].any()
    resized = np.asarray(Image.fromarray(photo).resize((96, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(canvas[16:80], resized)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_white_image_fills_its_band(width, height, side):
    canvas = letterbox(np.full((height, width, 3), 255, np.uint8), side)
    rows, columns = (canvas[..., 0] == 255).any(1), (canvas[..., 0] == 255).any(0)
    short = max(1, int(np.around(side * min(width, height) / max(width, height))))
    assert (rows.sum(), columns.sum()) == ((short, side) if height <= width else (side, short))
    for inside in (rows, columns):
        first, last = np.flatnonzero(inside)[[0, -1]]
        assert last - first + 1 == inside.sum()
        assert first == (side - inside.sum()) // 2  # one more row below than above, if any


def test_half_a_pixel_is_rounded_to_even():
    assert letterbox(np.full((1, 4, 3), 255, np.uint8), 10).any(2).sum() == 2 * 10
    assert letterbox(np.full((4, 3, 3), 255, np.uint8), 2).any(2).sum() == 2 * 2  # 1.5 to 2


@pytest.mark.parametrize(("width", "height", "n15", "n30", "n60"), BANDS)
def test_bands_of_common_sizes(width, height, n15, n30, n60):
    for n, (first, end) in ((15, n15), (30, n30), (60, n60)):
        assert kept_band(width, height, n) == (first, end, 0, n)
        assert kept_band(height, width, n) == (0, n, first, end)


def test_the_band_is_divided_in_floating_point():
    assert 372 * 60 // 496 == 45  # which would keep rows 7 to 53
    assert kept_band(496, 372, 60) == (8, 52, 0, 60)


@given(SIDES, SIDES, GRIDS)
def test_a_band_is_in_the_middle_and_never_empty(width, height, n):
    top, bottom, left, right = kept_band(width, height, n)
    assert 0 <= top < bottom <= n
    assert 0 <= left < right <= n
    assert (top + bottom, left + right) == (n, n)
    assert top == 0 or left == 0
    assert kept_band(height, width, n) == (left, right, top, bottom)


@given(st.integers(1, 300), st.integers(1, 80))
def test_nearest_indices_are_those_of_torch(size, count):
    cells = torch.arange(size, dtype=torch.float32)[None, None]
    expected = F.interpolate(cells, count, mode="nearest")[0, 0].numpy()
    assert np.array_equal(nearest_indices(size, count), expected)


def test_nearest_indices_depend_on_float32():
    exact = np.arange(60) * 252 // 60
    assert (nearest_indices(252, 60) != exact).sum() == 6


@given(st.integers(30, 2000), st.integers(30, 2000), st.sampled_from([15, 30, 60]))
def test_a_cell_is_copied_from_its_part_of_the_image(width, height, n):
    rows, columns = source_cells(width, height, n, 60)
    for found, size in ((rows, height), (columns, width)):
        # The band is rounded by up to a cell on each side, a copy comes from half a cell away.
        extent = n * size / max(width, height)
        there = (n - extent) / 2 + (np.arange(60) + 0.5) / 60 * extent
        assert np.abs(found + 0.5 - there).max() <= 1.5 + 1e-6
        assert (np.diff(found) >= 0).all()


def test_masks_are_sampled_as_in_torch():
    mask = np.random.default_rng(0).random((427, 640), dtype=np.float32)
    expected = F.interpolate(torch.from_numpy(mask)[None, None], (60, 60), mode="nearest")
    assert np.array_equal(mask_on_cells(mask, 60), expected[0, 0].numpy())
