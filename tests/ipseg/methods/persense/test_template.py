"""Where the object of a prompt is, by its own pixels."""

import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.methods.persense.persense import PerSense
from ipseg.methods.persense.template import located, turned


@pytest.fixture(scope="module")
def template():
    """(60, 80, 3) and its oval."""
    oval = np.zeros((60, 80), np.uint8)
    cv2.ellipse(oval, (40, 30), (39, 29), 0, 0, 360, 1, -1)
    return np.ascontiguousarray(data.chelsea()[90:150, 160:240]), oval > 0


def pasted(template, size, at, shape=(240, 320)):
    """Grass with the oval part of a template at a place, in another size."""
    pixels, oval = template
    grass = cv2.resize(data.grass()[:240, :320], shape[::-1]) // 3 + 60
    image = np.dstack([grass] * 3)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(oval.astype(np.uint8), size) > 0
    part = image[at[1] : at[1] + size[1], at[0] : at[0] + size[0]]
    part[inside] = small[inside]
    return image


@pytest.mark.parametrize(("size", "at"), [((28, 21), (40, 50)), ((60, 45), (200, 120))])
def test_it_is_found_at_another_size_whatever_is_around_it(template, size, at):
    place = located(pasted(template, size, at), *template)
    x0, y0, x1, y1 = place.box
    assert np.array_equal(place.outline, template[1]), "as it is"
    wanted = [at[0], at[1], at[0] + size[0] - 1, at[1] + size[1] - 1]
    np.testing.assert_allclose([x0, y0, x1, y1], wanted, atol=0.09 * size[0] + 1)


@pytest.mark.parametrize(("degrees", "mirrored"), [(180, False), (70, True)])
def test_it_is_found_turned_and_mirrored(template, degrees, mirrored):
    pixels, oval = turned(*template, degrees, mirrored=mirrored)
    assert oval.sum() == pytest.approx(template[1].sum(), rel=0.02)
    height, width = (round(0.7 * side) for side in oval.shape)
    there = (pixels.astype(np.uint8), oval)
    image = pasted(there, (width, height), (60, 20), shape=(110, 160))
    box = located(image, *template).box
    np.testing.assert_allclose(box, [60, 20, 59 + width, 19 + height], atol=6)


def test_something_else_is_not_taken_for_it(template):
    image = np.dstack([data.grass()[:110, :160] // 3 + 60] * 3)
    assert located(image, *template, least=PerSense().least_likeness) is None


def test_a_large_image_is_looked_through_at_a_smaller_size(template):
    image = pasted(template, (120, 90), (400, 300), (720, 960))
    box = located(image, *template).box
    np.testing.assert_allclose(box, [400, 300, 519, 389], atol=12)


def test_where_there_is_nothing_to_go_by_there_is_no_box(template):
    pixels, oval = template
    image = pasted(template, (28, 21), (40, 50))
    assert located(image, np.full_like(pixels, 90), oval) is None
    assert located(np.full((60, 80, 3), 90, np.uint8), pixels, oval) is None
    assert located(image[:8, :8], pixels, oval) is None
    assert located(image, pixels[:1, :1], oval[:1, :1]) is None
