"""Colours of a placed prompt against those of an image."""

import numpy as np
import pytest
from skimage.data import astronaut

from ipseg.features.verification import verified
from ipseg.vision.superpixels import to_lab, work_image


@pytest.fixture(scope="module")
def colours():
    return to_lab(work_image(astronaut(), 120))


@pytest.fixture
def object_mask(colours):
    mask = np.zeros(colours.shape[:2], np.float32)
    mask[20:80, 30:90] = 1
    return mask


def test_all_of_the_same_object_agrees(colours, object_mask):
    found = verified(colours, object_mask, colours)
    assert found.correlation == pytest.approx(1)
    assert found.agreement.min() > 0.99


def test_another_light_does_not_matter(colours, object_mask):
    found = verified(colours, object_mask, 0.8 * colours + np.float32([12, 3, -4]))
    assert found.correlation == pytest.approx(1)
    assert found.agreement[object_mask > 0].min() > 0.95


def test_what_is_hidden_does_not_agree(colours, object_mask):
    seen = colours.copy()
    seen[20:40, 30:90] = [60, -50, 50]  # a green thing in front of a third of it
    found = verified(colours, object_mask, seen)
    assert found.agreement[23:37, 33:87].mean() < 0.1
    assert found.agreement[43:77, 33:87].mean() > 0.9


def test_another_object_does_not_correlate(colours, object_mask):
    assert verified(colours, object_mask, colours[::-1, ::-1].copy()).correlation < 0.4


def test_a_prompt_outside_of_the_image_agrees_nowhere(colours, object_mask):
    found = verified(colours, np.zeros_like(object_mask), colours)
    assert found.correlation == 0
    assert not found.agreement.any()
