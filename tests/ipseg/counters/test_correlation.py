"""Counting without weights."""

import cv2
import numpy as np
import pytest

from ipseg.counters.correlation import Correlation
from ipseg.methods.persense.idm import InstanceDetection, to_levels
from ipseg.networks.models import Models
from ipseg.segmenters.refinement import tight_box
from jobs.demo.coins import coins
from jobs.demo.crowds import crowd


def counted(image, box, **settings):
    counter = Correlation(**settings)
    counter.setup(Models())
    (encoded,) = counter.encode([image])
    return counter.count(encoded, np.array([box], float))


@pytest.fixture(scope="module")
def photo():
    return coins()


def points_of(density, image, counter=Correlation):
    levels = to_levels(density.map, image.shape[:2])
    return InstanceDetection(parents_in_points="children").points(levels, counter.level)


@pytest.mark.parametrize("exemplar", [0, 9, 23])
def test_by_any_one_of_24_coins_all_are_counted_and_pointed_at(photo, exemplar):
    image, masks = photo
    density = counted(image, tight_box(masks[exemplar]))
    assert density.count == pytest.approx(24, abs=1)
    assert density.map.sum() == pytest.approx(density.total, rel=1e-3)
    points = points_of(density, image)
    hit = sum(any(mask[y, x] for x, y in points.tolist()) for mask in masks)
    for box in density.boxes:
        assert (box[:2] < box[2:]).all()
    middles = (density.boxes[:, :2] + density.boxes[:, 2:]) / 2
    near = np.linalg.norm(points[:, None] - middles[None], axis=2).min(axis=1)
    assert np.median(near) < 2, "boxes lie around the points"
    assert hit >= 23
    assert len(points) <= hit + 1


@pytest.mark.parametrize("width", [130, 140, 160])
def test_small_objects_that_are_counted_are_pointed_at(photo, width):
    image, masks = photo
    factor = width / image.shape[1]
    size = (width, round(factor * image.shape[0]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    density = counted(small, np.round(factor * np.array(tight_box(masks[8]))))
    assert density.count == pytest.approx(24, abs=1)
    assert len(points_of(density, small)) == pytest.approx(density.count, abs=1)


def test_crowds_are_counted_to_15_in_100():
    errors = []
    for seed in range(4):
        made = crowd(seed)
        exemplar = made.boxes[np.argmin(np.abs(made.scales - 1))]
        found = counted(made.image, exemplar)
        assert len(found.boxes) == found.count
        errors.append(abs(found.count - len(made.boxes)) / len(made.boxes))
    assert np.mean(errors) <= 0.15


def test_a_blank_image_holds_nothing_and_nothing_is_not_a_number():
    for image in (np.full((60, 90, 3), 200, np.uint8), np.zeros((9, 300, 3), np.uint8)):
        for box in ([10, 2, 30, 7], [0, 0, 299, 59], [5, 5, 5, 5]):
            density = counted(image, box)
            assert np.isfinite(density.map).all()
            assert density.count == 0


def test_a_large_image_is_counted_at_a_smaller_size(photo):
    image, masks = photo
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    density = counted(large, 3 * tight_box(masks[3]), long_side=384)
    assert max(density.map.shape) == 384
    assert density.count == pytest.approx(24, abs=1)
