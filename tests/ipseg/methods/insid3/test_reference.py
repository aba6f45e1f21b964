import numpy as np
import pytest

from ipseg.errors import PromptError
from ipseg.methods.insid3.reference import all_examples, cells_of


def box(y0, y1, x0, x1):
    mask = np.zeros((1024, 1024), bool)
    mask[y0:y1, x0:x1] = True
    return mask


# What the released code makes of these masks (golden data: `down.*`).
@pytest.mark.parametrize(
    ("mask", "cell"),
    [
        (box(96, 104, 208, 217), (6, 13)),  # more than half of the middle pixels
        (box(320, 322, 480, 482), (20, 30)),  # the first pixel of a cell alone
        (box(325, 327, 483, 486), (20, 30)),  # no pixel that is sampled
        (box(35, 37, 35, 37) | box(835, 837, 515, 517), (27, 17)),  # between the two
        (box(1022, 1024, 1022, 1024), (63, 63)),
    ],
)
def test_small_objects_have_a_cell(mask, cell):
    assert np.argwhere(cells_of(mask, 1024, 64)).tolist() == [list(cell)]


def test_half_of_the_middle_pixels_is_not_enough():
    """So the first pixel of cells decides."""
    assert np.argwhere(cells_of(box(96, 104, 208, 232), 1024, 64)).tolist() == [[6, 13], [6, 14]]


def test_one_of_another_size_is_squashed():
    mask = np.zeros((100, 300), bool)
    mask[25:50, 150:225] = True
    found = cells_of(mask, 64, 4)
    assert np.argwhere(found).tolist() == [[1, 2]]


def test_a_speck_that_the_square_misses_is_placed_in_the_image():
    mask = np.zeros((4000, 6000), bool)
    mask[2001, 1001] = True
    assert np.argwhere(cells_of(mask, 64, 8)).tolist() == [[4, 1]]


def test_an_empty_mask_is_refused():
    with pytest.raises(PromptError, match="empty"):
        cells_of(np.zeros((30, 40), bool), 64, 4)


def test_all_examples_are_kept():
    shots = [{"masks": np.array([[True, False]])}, {"masks": np.array([[False, False]])}]
    assert all_examples(shots)["masks"].tolist() == [[True, False], [False, False]]
