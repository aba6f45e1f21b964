"""The selection of PerSense++: a small, a medium and a large exemplar."""

import cv2
import numpy as np
import pytest

from ipseg.methods.persense.box_features import BoxFeatures
from ipseg.methods.persense.diverse import DiverseExemplars
from ipseg.networks.models import Models

FIRST = np.array([1.0, 0, 0, 0])


def boxes(*sides, apart=100):
    """Squares in a row."""
    return np.array([[apart * n, 0, apart * n + side, side] for n, side in enumerate(sides)], float)


def alike(*numbers):
    """Features in three groups around the axes of the last three dimensions, near to FIRST."""
    features = np.zeros((len(numbers), 4))
    features[:, 0] = 1
    features[np.arange(len(numbers)), 1 + np.arange(len(numbers)) % 3] = numbers
    return features


def test_one_of_each_size_and_that_which_looks_most_like_the_first():
    sides = boxes(10, 11, 20, 21, 40, 41)
    features = alike(1, 1, 1, 1, 1, 1)
    features[[0, 3, 4], 0] = 5  # the others are farther from the first
    chosen = DiverseExemplars().chosen(sides, np.full(6, 0.9), features, FIRST)
    assert chosen == [0, 3, 4]


def test_uncertain_masks_are_left_out_where_others_are_enough():
    sides = boxes(10, 20, 40, 15)
    scores = np.array([0.9, 0.9, 0.9, 0.5])
    found = DiverseExemplars().chosen(sides, scores, alike(1, 1, 1, 1), FIRST)
    assert sorted(found) == [0, 1, 2]
    few = DiverseExemplars().chosen(sides, np.array([0.9, -1, -1, 0.9]), alike(1, 1, 1, 1), FIRST)
    assert sorted(few) == [0, 3], "masks without a score are left out"


def test_of_two_boxes_of_one_object_the_larger_stays():
    sides = boxes(10, 20, 21, 40)
    sides[1] = sides[2] - [0, 0, 1, 1]
    found = DiverseExemplars().chosen(sides, np.full(4, 0.9), alike(1, 1, 1, 1), FIRST)
    assert 1 not in found
    assert 2 in found


def test_as_released_a_box_of_the_mean_area_wins():
    sides = boxes(*np.sqrt([80, 100, 105, 95, 120, 100]))
    sides[5, 2:] = sides[5, :2] + [50, 2]  # of the mean area, but long
    scores, features = np.full(6, 0.9), alike(1, 1, 1, 1, 1, 1)
    mean = (sides[:, 2:] - sides[:, :2]).prod(axis=1).mean()
    assert mean == pytest.approx(100)
    fixed = DiverseExemplars().chosen(sides, scores, features, FIRST)
    released = DiverseExemplars(plusplus_zero_distance="released")
    assert 1 in fixed
    assert {1, 5} & set(released.chosen(sides, scores, features, FIRST))
    shifted = DiverseExemplars(plusplus_similarity_index="released")
    assert len(shifted.chosen(sides, scores, features, FIRST)) == 3


def test_equal_boxes_and_features_are_no_reason_to_fail():
    for n in (1, 3, 5):
        same = np.repeat(boxes(10), n, axis=0)
        found = DiverseExemplars().chosen(same, np.full(n, 0.9), np.ones((n, 4)), FIRST)
        assert len(found) == 1


def test_a_box_has_the_same_features_at_any_size_of_its_image(tiny_root, photos):
    part = BoxFeatures()
    part.setup(Models(root=str(tiny_root), device="cpu"))
    image = cv2.resize(photos["cup"], (224, 224))
    large = cv2.resize(image, (448, 448), interpolation=cv2.INTER_NEAREST)
    corners = np.array([[30, 30, 100, 100], [120, 110, 200, 190], [30, 30, 100, 100]], float)
    small, other = part.encode([image, large])
    one, away, same = part.pooled(small, corners, (224, 224))
    assert one.shape == (2048,)
    assert np.isfinite(one).all()
    assert np.array_equal(one, same)
    (again, *_) = part.pooled(other, 2 * corners, (448, 448))
    assert np.linalg.norm(again - one) < 0.3 * np.linalg.norm(away - one)
