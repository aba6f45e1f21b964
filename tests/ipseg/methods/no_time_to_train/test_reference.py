import numpy as np
import pytest
import torch

from ipseg.errors import PromptError
from ipseg.methods.no_time_to_train.proposals import grid
from ipseg.methods.no_time_to_train.reference import surroundings, weights_of, whole
from ipseg.segmenters.frame import Frame


def mask_of(shape, rows, columns):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ((40, 50), (60, 80), ((33, 57), (58, 82))),  # a square 24 wide about a box of 20
        ((0, 10), (0, 100), ((0, 65), (0, 110))),  # clipped, so no square any more
        ((7, 8), (9, 10), ((7, 8), (9, 10))),  # a single pixel
    ],
)
def test_a_square_about_the_box_clipped_to_the_image(rows, columns, expected):
    found = surroundings(mask_of((100, 150), slice(*rows), slice(*columns)), 0.2)
    assert tuple((each.start, each.stop) for each in found) == expected


def test_an_empty_mask_is_refused():
    with pytest.raises(PromptError, match="empty"):
        surroundings(np.zeros((5, 5), bool), 0.2)


def test_weights_are_those_of_the_first_pixels_of_cells():
    mask = mask_of((112, 112), slice(0, 57), slice(0, 112))
    found = weights_of(mask, 112, 8).view(8, 8)
    assert found[:5].tolist() == [[1.0] * 8] * 5
    assert not found[5:].any()
    blurred = weights_of(mask_of((28, 28), slice(0, 14), slice(None)), 112, 8).view(8, 8)
    assert 0 < blurred[4, 0] < 1, "fractions are kept"


def test_a_line_between_those_pixels_still_has_weights():
    found = weights_of(mask_of((112, 112), slice(5, 6), slice(None)), 112, 8)
    assert found.sum() > 0
    assert (found.view(8, 8)[1:] == 0).all()


def test_images_go_by_way_of_the_segmenters_square():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 200
    found = whole(image, 56)
    assert found.shape == (3, 56, 56)
    assert found[:, :, :24].abs().max() == 0
    torch.testing.assert_close(found[:, :, 32:], torch.full((3, 56, 24), 200 / 255))


def test_points_fill_the_square():
    frame = Frame.around(512, 2048, 1024, "stretch")
    points = grid(frame, 3)
    assert len(points) == 9
    back = frame.from_image(points)
    assert back[0].tolist() == [0.5, 0.5]
    assert back[1].tolist() == [512, 0.5]
    assert back[-1].tolist() == [1023.5, 1023.5]
