"""How images lie in the canvas."""

import numpy as np
import pytest
import torch

from ipseg.errors import ImageError
from ipseg.methods.sine.canvas import Canvas, View
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("canvas", "shape", "inside"),
    [
        (Canvas(896), (375, 500), (518, 518)),
        (Canvas(112), (30, 160), (65, 65)),
        (Canvas(896, "long_side"), (300, 400), (672, 896)),
        (Canvas(896, "long_side"), (640, 427), (896, 598)),
        (Canvas(896, "long_side"), (500, 500), (896, 896)),
        # 480 x 854, DAVIS: by way of 518 x 921.
        (Canvas(1036, "video"), (480, 854), (582, 1036)),
        (Canvas(1036, "video"), (854, 480), (1036, 582)),
    ],
)
def test_what_of_the_canvas_is_image(canvas, shape, inside):
    placed = canvas.place(noise(*shape), 14)
    assert placed.view == View((canvas.side, canvas.side), inside)
    assert placed.pixels.shape == (3, canvas.side, canvas.side)
    assert (placed.pixels[:, inside[0] :] == 0).all(), "zeros after normalisation"
    assert (placed.pixels[:, :, inside[1] :] == 0).all()


@pytest.mark.parametrize("fit", ["squash", "long_side", "video"])
def test_a_tight_canvas_ends_with_the_next_patch(fit):
    image = noise(60, 100)
    square, tight = (Canvas(112, fit, padding).place(image, 14) for padding in ("square", "tight"))
    rows, columns = tight.view.canvas
    assert tight.view.inside == square.view.inside
    assert rows % 14 == columns % 14 == 0
    assert max(rows - tight.view.inside[0], columns - tight.view.inside[1]) < 14
    assert torch.equal(square.pixels[:, :rows, :columns], tight.pixels)
    assert rows * columns < 112 * 112


def test_the_squashed_part_is_518_of_896_whole_patches():
    assert Canvas(896, padding="tight").place(noise(40, 60), 14).view.canvas == (518, 518)


def test_pixels_are_normalised_and_channels_can_be_swapped():
    image = noise(112, 112)
    rgb, bgr = (Canvas(112, "long_side", colour=c).place(image, 14).pixels for c in ("rgb", "bgr"))
    back = (rgb * STD + MEAN) * 255
    np.testing.assert_allclose(back.permute(1, 2, 0), image, atol=1e-3)
    np.testing.assert_allclose((bgr * STD + MEAN) * 255, back.flip(0), atol=1e-3)
    grey = np.repeat(image[..., :1], 3, axis=2)
    same = [Canvas(112, "long_side", colour=c).place(grey, 14).pixels for c in ("rgb", "bgr")]
    assert torch.equal(*same)


@pytest.mark.parametrize("fit", ["squash", "long_side", "video"])
def test_a_mask_lies_where_its_image_does(fit):
    mask = np.zeros((60, 100), bool)
    mask[15:45, 50:90] = True
    canvas = Canvas(112, fit)
    image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    placed = canvas.place(image, 14)
    found = canvas.place_mask(mask, placed.view)
    bright = placed.pixels[0] > 1.5
    assert found.shape == (112, 112)
    assert (found & bright).sum() > 0.9 * (found | bright).sum()


def test_maps_come_back_without_the_padding():
    view = View((112, 112), (56, 112))
    ramp = torch.arange(32.0)[None, :, None].expand(2, 32, 32)
    back = view.back(ramp, (40, 80))
    assert back.shape == (2, 40, 80)
    # Row r of the image is row 56 / 40 * r of the canvas, and 32 / 112 of that of the map.
    expected = (np.arange(40) + 0.5) * 56 / 40 * 32 / 112 - 0.5
    np.testing.assert_allclose(back[0, 1:-1, 7], expected[1:-1], atol=0.05)


def test_a_line_is_no_image():
    with pytest.raises(ImageError, match=r"2x4000 pixels .* canvas of 896"):
        Canvas(896, "long_side").place(noise(4000, 2), 14)
