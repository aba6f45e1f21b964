"""The position of an image in the square input of the network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.transforms import ResizeLongestSide

from ipseg.segmenters.frame import Frame, fit, to_batch

SIDES = st.integers(1, 4000)


@given(height=SIDES, width=SIDES, side=st.sampled_from([64, 1024]))
def test_a_letterbox_is_that_of_sam(height, width, side):
    frame = Frame.around(height, width, side, "letterbox")
    theirs = ResizeLongestSide.get_preprocess_shape(height, width, side)
    assert frame.inside == tuple(max(1, length) for length in theirs)
    assert max(frame.inside) == side


@given(height=SIDES, width=SIDES, aspect=st.sampled_from(["letterbox", "squash", "stretch"]))
def test_whole_pixels_of_the_square_are_exact_in_the_image_and_back(height, width, aspect):
    frame = Frame.around(height, width, 1024, aspect)
    pixels = np.array([[0, 0], [frame.inside[1] - 1, frame.inside[0] - 1], [317, 101]])
    back = frame.from_image(pixels * (width / frame.inside[1], height / frame.inside[0]))
    assert np.array_equal(back.astype(np.float32), pixels.astype(np.float32))


def test_an_image_of_the_square_s_own_size_is_neither_resized_nor_its_masks():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    logits = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for aspect in ("letterbox", "squash", "stretch"):
        frame = Frame.around(64, 64, 64, aspect)
        assert np.array_equal(fit(image, frame, aspect), image)
        full, seen = frame.masks(logits)
        assert torch.equal(full, seen)


def test_masks_are_cropped_like_the_image():
    frame = Frame.around(30, 60, 64, "letterbox")
    logits = -torch.ones(1, 64, 64)
    logits[:, 32:] = 1  # the padding below the image
    full, seen = frame.masks(logits)
    assert full.shape == (1, 30, 60)
    assert seen.shape == (1, 32, 64)
    assert not full.any()
    logits[:, :, :32] = 1
    assert torch.equal(frame.masks(logits)[0], (torch.arange(60) < 30).expand(1, 30, 60))


@pytest.mark.parametrize("aspect", ["squash", "stretch"])
def test_both_ways_to_fill_the_square(aspect):
    image = np.zeros((128, 256, 3), np.uint8)
    image[::2] = 255  # a linear filter that skips pixels sees only some of the lines
    frame = Frame.around(128, 256, 32, aspect)
    fitted = fit(image, frame, aspect)
    assert fitted.shape == (32, 32, 3)
    assert abs(int(fitted[8, 8, 0]) - 127) < 2


def test_padding_is_zero_after_normalising():
    image = np.full((8, 4, 3), 255, np.uint8)
    batch = to_batch([image, image.transpose(1, 0, 2)], 8)
    assert batch.shape == (2, 3, 8, 8)
    assert not batch[0, :, :, 4:].any()
    assert not batch[1, :, 4:].any()
    assert batch[0, 0, 0, 0] == pytest.approx((255 - 123.675) / 58.395)
