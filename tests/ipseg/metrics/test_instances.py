"""Matching of instances one to one, and recall and precision."""

import numpy as np
import pytest

from ipseg.metrics.instances import Detections, matched
from ipseg.vision.masks import encode_rle


def box(x, width):
    mask = np.zeros((4, 20), bool)
    mask[:, x : x + width] = True
    return encode_rle(mask)


def test_each_instance_is_matched_once_by_the_surest():
    truth = [box(0, 4), box(8, 4)]
    found = [box(0, 4), box(0, 5), box(8, 4), box(14, 4)]
    assert matched([0.2, 0.9, 0.5, 0.7], found, truth).tolist() == [False, True, True, False]
    assert matched([0.9, 0.2, 0.5, 0.7], found, truth).tolist() == [True, False, True, False]


def test_the_overlap_that_counts():
    assert matched([1.0], [box(0, 8)], [box(0, 4)]).tolist() == [True]
    assert matched([1.0], [box(0, 9)], [box(0, 4)]).tolist() == [False]
    assert matched([1.0], [box(0, 9)], [box(0, 4)], least=0.4).tolist() == [True]
    assert matched([], [], [box(0, 4)]).tolist() == []
    assert matched([1.0], [box(0, 9)], []).tolist() == [False]


def test_recall_and_precision_over_thresholds():
    counted = Detections()
    assert counted.at(0.5) == (1.0, 1.0)
    counted.add([0.9, 0.8], [True, False], 2)
    counted.add([0.4, 0.2], [True, False], 2)
    assert counted.at(0.0) == (0.5, 0.5)
    assert counted.at(0.5) == (0.25, 0.5)
    assert counted.at(0.95) == (0.0, 1.0)
    assert counted.best() == pytest.approx((0.4, 0.5, 2 / 3))
