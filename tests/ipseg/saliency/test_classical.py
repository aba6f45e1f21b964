import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.saliency.classical import ClassicalSaliency
from ipseg.saliency.foreground import overlap

CAT = [(44, 0), (32, 50), (37, 112), (0, 134), (0, 299), (350, 299), (310, 240), (362, 156)]
CAT += [(356, 70), (394, 12), (400, 0)]
ROCKET = [(311, 144), (322, 127), (333, 144), (335, 230), (331, 265), (331, 406), (312, 406)]


def polygon(image, corners):
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
    return mask > 0


def cup_and_saucer(image):
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(mask, (278, 224), (201, 164), 12, 0, 360, 1, -1)
    cv2.ellipse(mask, (290, 111), (117, 92), 8, 0, 360, 1, -1)
    return mask > 0


def test_the_saucer_is_isolated_from_the_table():
    image = data.coffee()
    assert overlap(ClassicalSaliency().isolate(image) > 0, cup_and_saucer(image)) > 0.9


def test_a_slender_object_is_isolated():
    image = data.rocket()
    assert overlap(ClassicalSaliency().isolate(image) > 0, polygon(image, ROCKET)) > 0.4


def test_an_object_that_fills_the_frame_is_not_reduced_to_its_eyes():
    image = data.chelsea()
    assert overlap(ClassicalSaliency().isolate(image) > 0, polygon(image, CAT)) > 0.65


def test_soft_saliency_is_higher_on_the_object():
    image = data.coffee()
    soft, truth = ClassicalSaliency().predict(image), cup_and_saucer(image)
    assert soft[truth].mean() > 3 * soft[~truth].mean()


def test_the_same_image_gives_the_same_bits_whatever_came_before():
    saliency, image = ClassicalSaliency(), data.coffee()[:200, 100:400]
    soft, hard = saliency.predict(image), saliency.isolate(image)
    cv2.setRNGSeed(7)
    ClassicalSaliency(long_side=160).isolate(data.rocket())
    assert np.array_equal(soft, saliency.predict(image))
    assert np.array_equal(hard, saliency.isolate(image))


@pytest.mark.parametrize(
    "image",
    [
        np.full((60, 90, 3), 120, np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (2, 2, 3), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, (1, 300, 3), dtype=np.uint8),
        np.ascontiguousarray(np.tile(data.coffee()[:40], (1, 4, 1))[:, :2000]),
        np.dstack([data.camera()] * 3),
    ],
    ids=["constant", "black", "2x2", "line", "panorama", "grey"],
)
def test_hard_cases_have_an_object_in_range_and_no_warning(image):
    saliency = ClassicalSaliency(long_side=160)
    soft, hard = saliency.predict(image), saliency.isolate(image)
    assert soft.shape == hard.shape == image.shape[:2]
    assert soft.dtype == hard.dtype == np.float32
    assert np.isfinite(soft).all()
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert set(np.unique(hard)) <= {0.0, 1.0}
    assert hard.any()
