"""Which points are kept."""

import math

import numpy as np
import pytest

from ipseg.methods.persense.ppsm import PointSelection, inside

SIMILARITY = np.linspace(0, 1, 101, dtype=np.float32)[None].repeat(3, axis=0)  # x / 100
POINTS = np.array([[x, 1] for x in range(0, 101, 10)])
ANYWHERE = np.array([[0, 0, 100, 2]], np.float32)
RELEASED = PointSelection(ppsm_threshold="released")


def kept(count, boxes=ANYWHERE, similarity=SIMILARITY, **settings):
    chosen = PointSelection(**settings).kept(similarity, POINTS, boxes, count)
    return POINTS[chosen, 0].tolist()


@pytest.mark.parametrize(
    ("count", "least"),
    [
        (1, 0.5),
        (1.0, 0.5),
        (2, math.sqrt(0.5)),
        (39, math.sqrt(2) / 39),
        (1.2, 1.1785),
        (-2, -0.7071),
    ],
)
def test_the_released_threshold_is_of_the_largest_similarity(count, least):
    assert RELEASED.threshold(SIMILARITY, count) == pytest.approx(least, abs=1e-4)


def test_the_more_there_are_the_less_similar_they_must_be():
    released = {"ppsm_threshold": "released"}
    assert kept(2, **released) == [80, 90, 100]
    assert kept(10, **released) == [20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert kept(1.2, **released) == []
    assert kept(0, **released) == []
    assert kept(-3, **released) == POINTS[:, 0].tolist()


def test_fixed_takes_at_most_a_half():
    for count in (0, 0.4, 1, 1.2, 2, -5):
        assert kept(count) == [50, 60, 70, 80, 90, 100]
    assert kept(10) == kept(10, ppsm_threshold="released")


def test_without_a_threshold_only_boxes_count():
    assert kept(1, ppsm_threshold="none") == POINTS[:, 0].tolist()
    assert kept(1, np.array([[0, 0, 15, 2.0]]), ppsm_threshold="none") == [0, 10]


def test_where_nothing_is_similar_nothing_is_kept():
    assert kept(4, similarity=SIMILARITY - 2, ppsm_threshold="released") == []


def test_a_border_belongs_to_its_box():
    boxes = np.array([[20, 1, 40, 1], [90, 0, 95, 5]], np.float32)
    assert POINTS[inside(POINTS, boxes), 0].tolist() == [20, 30, 40, 90]
    assert not inside(POINTS, np.zeros((0, 4))).any()
    assert inside(POINTS, None).all()
