"""Repeats among masks: what is left is apart, and in an order that does not depend on anything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.methods.ipseg.repeats import Distinct, numbered
from ipseg.objects import Object

SHAPE = (12, 16)


def box(x, y, width, height, score=0.5):
    mask = np.zeros(SHAPE, bool)
    mask[y : y + height, x : x + width] = True
    return Object.of("thing", 1, mask, score)


boxes = st.lists(
    st.builds(
        box,
        *(st.integers(0, side - 2) for side in SHAPE[::-1]),
        *(st.integers(1, side) for side in SHAPE[::-1]),
        score=st.sampled_from([0.1, 0.5, 0.5, 0.9]),
    ),
    max_size=8,
)


@given(boxes, st.sampled_from([0.2, 0.5, 1.0]))
def test_no_pixel_is_in_two_objects_and_none_is_mostly_another(objects, repeated):
    distinct = Distinct(SHAPE, repeated)
    kept = distinct.add(objects)
    assert kept == distinct.objects
    together = np.sum([each.mask for each in kept], axis=0) if kept else np.zeros(SHAPE)
    assert together.max(initial=0) <= 1
    assert np.array_equal(together > 0, distinct.taken)
    by_score = [each.score for each in kept]
    assert by_score == sorted(by_score, reverse=True)
    assert all(each.area > 0 for each in kept)
    if objects:
        assert kept[0].score == max(each.score for each in objects), "the best always stays"
    # What was left out lies in what was kept, or around it.
    for each in objects:
        covered = (each.mask & distinct.taken).sum() / each.area
        inside = [(each.mask & other.mask).sum() / other.area for other in kept]
        assert each.segmentation in [k.segmentation for k in kept] or max(covered, *inside) > 0


@given(boxes)
def test_a_second_time_nothing_is_new(objects):
    distinct = Distinct(SHAPE, 0.5)
    distinct.add(objects)
    before = list(distinct.objects)
    assert distinct.add(before) == []
    assert distinct.objects == before


@given(boxes, st.randoms())
def test_the_order_of_finding_does_not_matter(objects, random):
    shuffled = list(objects)
    random.shuffle(shuffled)
    found = [numbered(Distinct(SHAPE, 0.5).add(each)) for each in (objects, shuffled)]
    assert found[0] == found[1]
    assert [each.instance for each in found[0]] == list(range(len(found[0])))


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (box(0, 0, 6, 6, score=0.4), 1),  # the same
        (box(1, 1, 3, 3, score=0.4), 1),  # inside
        (box(0, 0, 12, 12, score=0.4), 1),  # around
        (box(3, 0, 6, 6, score=0.4), 1),  # half of it
        (box(4, 0, 6, 6, score=0.4), 2),  # a third
        (box(6, 0, 6, 6, score=0.4), 2),  # touching
    ],
)
def test_what_counts_as_a_repeat(other, kept):
    assert len(Distinct(SHAPE, 0.5).add([other, box(0, 0, 6, 6, score=0.9)])) == kept


def test_of_equal_scores_the_larger_comes_first_then_the_one_further_left():
    objects = [box(9, 0, 2, 2), box(4, 0, 2, 2), box(0, 5, 3, 3)]
    assert [each.bbox[0] for each in numbered(objects)] == [0, 4, 9]
