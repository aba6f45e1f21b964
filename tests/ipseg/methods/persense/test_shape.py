"""Masks of instances by the outline of an exemplar."""

import cv2
import numpy as np
import pytest

from ipseg.methods.persense.shape import outlined, shape_of
from ipseg.saliency.foreground import overlap
from ipseg.vision.masks import decode_rle


def ellipse(centre, half, shape=(120, 160)):
    mask = np.zeros(shape, np.uint8)
    cv2.ellipse(mask, centre, half, 0, 0, 360, 1, -1)
    return mask > 0


def painted(masks):
    noise = np.random.default_rng(0).integers(0, 40, (120, 160, 3))
    image = noise.astype(np.uint8)
    for mask in masks:
        image[mask] = [220, 120, 40] + noise[mask] // 2
    return image


def box_of(centre, half):
    (x, y), (a, b) = centre, half
    return np.array([x - a, y - b, x + a, y + b], float)


EXEMPLAR = shape_of([ellipse((40, 30), (20, 14))])


def test_a_shape_is_what_most_masks_have_in_common():
    whole = ellipse((80, 60), (30, 20))
    cut = whole & (np.arange(160) < 100)
    again = ellipse((40, 30), (15, 10))
    assert overlap(decode_rle(shape_of([whole, cut, again])), decode_rle(EXEMPLAR)) > 0.9
    assert decode_rle(EXEMPLAR).mean() == pytest.approx(np.pi / 4, abs=0.02)
    with pytest.raises(ValueError, match="empty"):
        shape_of([np.zeros((4, 4), bool)])


@pytest.mark.parametrize("half", [(9, 6), (20, 14), (40, 28)])
@pytest.mark.parametrize("off", [0, 1])
def test_an_instance_of_any_size_is_outlined_though_its_box_is_a_little_off(half, off):
    truth = ellipse((80, 60), half)
    mask, agreement = outlined(painted([truth]), EXEMPLAR, box_of((80 + off, 60 - off), half))
    assert overlap(mask, truth) > (0.9 if half[0] > 9 else 0.8)
    assert agreement > 0.8


def test_beside_another_one_it_keeps_to_itself():
    one, other = ellipse((60, 60), (20, 14)), ellipse((98, 60), (20, 14))
    image = painted([one, other])
    masks = [outlined(image, EXEMPLAR, box_of((x, 60), (20, 14)))[0] for x in (60, 98)]
    assert overlap(masks[0], one) > 0.85
    assert overlap(masks[1], other) > 0.85


def test_where_the_image_says_something_else_the_shape_stays():
    image = painted([ellipse((80, 60), (4, 3))])
    box = box_of((80, 60), (20, 14))
    mask, agreement = outlined(image, EXEMPLAR, box)
    assert overlap(mask, ellipse((80, 60), (20, 14))) > 0.6
    assert agreement <= 1


def test_at_the_border_and_beyond():
    truth = ellipse((2, 60), (20, 14))
    mask, _ = outlined(painted([truth]), EXEMPLAR, box_of((2, 60), (20, 14)))
    assert overlap(mask, truth) > 0.7
    beyond, agreement = outlined(painted([truth]), EXEMPLAR, box_of((300, 60), (20, 14)))
    assert (beyond.any(), agreement) == (False, 0.0)
