"""Counting without weights."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage import data, filters, measure, segmentation

from ipseg.counters.correlation import Correlation
from ipseg.methods.persense.idm import InstanceDetection, to_levels
from ipseg.networks.models import Models


def counted(image, box, **settings):
    counter = Correlation(**settings)
    counter.setup(Models())
    (encoded,) = counter.encode([image])
    return counter.count(encoded, np.array([box], float))


def points_of(density, image, counter=Correlation):
    levels = to_levels(density.map, image.shape[:2])
    return InstanceDetection(parents_in_points="children").points(levels, counter.level)


@pytest.fixture(scope="module")
def coins():
    """The photo, and its 24 coins by a watershed."""
    grey = data.coins()
    marks = np.where(grey < 30, 1, np.where(grey > 150, 2, 0))
    filled = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(grey), marks) - 1)
    found = [each for each in measure.regionprops(measure.label(filled)) if each.area > 300]
    assert len(found) == 24
    return np.dstack([grey] * 3), found


@pytest.mark.parametrize("exemplar", [0, 9, 23])
def test_by_any_one_of_24_coins_all_are_counted_and_pointed_at(coins, exemplar):
    image, found = coins
    y0, x0, y1, x1 = found[exemplar].bbox
    density = counted(image, [x0, y0, x1 - 1, y1 - 1])
    assert density.count == pytest.approx(24, abs=1)
    assert density.map.sum() == pytest.approx(density.total, rel=1e-3)
    points = points_of(density, image)
    on = [found[i].coords.tolist() for i in range(24)]
    hit = sum(any([y, x] in coords for x, y in points.tolist()) for coords in on)
    assert hit >= 23
    assert len(points) <= hit + 1


def crowd(seed):
    """(480, 640, 3) and boxes of 10 to 80 copies of a part of a photo, 0.6 to 1.5 times as large.

    On another texture; of two copies at most 30 % of the smaller one is covered.
    """
    random = np.random.default_rng(seed)
    ground = [data.grass(), data.gravel(), data.brick()][seed % 3][:240, :320]
    image = np.dstack([cv2.resize(ground, (640, 480)) // 3 + 40] * 3)
    photo = [data.coffee()[100:200, 200:300], data.chelsea()[80:180, 150:250]][seed % 2]
    boxes, masks = [], []
    wanted = random.integers(10, 81)
    for _ in range(4000):
        if len(boxes) == wanted:
            break
        scale = random.uniform(0.6, 1.5)
        half = np.array([round(17 * scale), round(14 * scale)])
        x, y = random.integers(half + 1, np.array([639, 479]) - half)
        mask = np.zeros(image.shape[:2], np.uint8)
        cv2.ellipse(mask, (int(x), int(y)), half.tolist(), 0, 0, 360, 1, -1)
        mask = mask > 0
        near = [
            other
            for other, box in zip(masks, boxes, strict=True)
            if np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2) < 60
        ]
        if any((mask & m).sum() > 0.3 * min(mask.sum(), m.sum()) for m in near):
            continue
        part = slice(y - half[1], y + half[1] + 1), slice(x - half[0], x + half[0] + 1)
        copy = cv2.resize(photo, (2 * int(half[0]) + 1, 2 * int(half[1]) + 1))
        image[part][mask[part]] = copy[mask[part]]
        boxes.append([x - half[0], y - half[1], x + half[0], y + half[1], scale])
        masks.append(mask)
    return image, np.array(boxes)


def test_crowds_are_counted_to_15_in_100():
    errors = []
    for seed in range(4):
        image, boxes = crowd(seed)
        exemplar = boxes[np.argmin(np.abs(boxes[:, 4] - 1)), :4]
        errors.append(abs(counted(image, exemplar).count - len(boxes)) / len(boxes))
    assert np.mean(errors) <= 0.15


def test_a_blank_image_holds_nothing_and_nothing_is_not_a_number():
    for image in (np.full((60, 90, 3), 200, np.uint8), np.zeros((9, 300, 3), np.uint8)):
        for box in ([10, 2, 30, 7], [0, 0, 299, 59], [5, 5, 5, 5]):
            density = counted(image, box)
            assert np.isfinite(density.map).all()
            assert density.count == 0


def test_a_large_image_is_counted_at_a_smaller_size(coins):
    image, found = coins
    y0, x0, y1, x1 = found[3].bbox
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    density = counted(large, 3 * np.array([x0, y0, x1 - 1, y1 - 1]), long_side=384)
    assert max(density.map.shape) == 384
    assert density.count == pytest.approx(24, abs=1)
