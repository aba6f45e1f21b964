from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.columns import from_table, to_table
from ipseg.objects import Object, best_scores, highest, notable
from ipseg.vision.masks import encode_rle

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
numbers = st.floats(-1e6, 1e6, width=32)
points = st.lists(st.tuples(numbers, numbers, st.sampled_from([0.0, 1.0])), max_size=4).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 3)
)
objects = st.builds(
    Object.of,
    concept=st.text(min_size=1, max_size=8),
    category_id=st.integers(1, 2**31 - 1),
    mask=masks,
    score=st.floats(0, 1, width=32),
    predicted_iou=st.none() | numbers,
    instance=st.integers(0, 1000),
    frame=st.integers(0, 1000),
    evidence=st.dictionaries(st.text(max_size=6), st.none() | numbers, max_size=3),
    points=points,
    variant=st.text(max_size=5),
    status=st.sampled_from(["auto", "accepted"]),
)


@given(st.lists(objects, max_size=4))
def test_objects_come_back_from_a_table_as_they_were(found):
    (row,) = from_table(to_table([{"objects": found}], ["objects"]))
    assert row["objects"] == found
    for old, new in zip(found, row["objects"], strict=True):
        assert new.points.dtype == np.float32
        assert np.array_equal(old.points, new.points)
        assert np.array_equal(old.mask, new.mask)


@given(masks)
def test_area_and_box_are_those_of_the_mask(mask):
    record = Object.of("cup", 1, mask, 0.5).record()
    rows, columns = np.nonzero(mask)
    assert record["area"] == mask.sum()
    if len(rows):
        x, y, width, height = record["bbox"]
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
    else:
        assert record["bbox"] == [0, 0, 0, 0]


def test_what_a_record_lacks_takes_its_default():
    rle = encode_rle(np.eye(3, dtype=bool))
    least = {"concept": "cup", "category_id": 2, "segmentation": rle, "score": 0.5}
    found = Object.from_record({**least, "predicted_iou": None, "evidence": None, "points": None})
    assert found == Object.from_record(least) == Object("cup", 2, rle, 0.5)
    assert (found.frame, found.instance, found.status, found.variant) == (0, 0, "auto", "")
    assert found.points.shape == (0, 3)
    with pytest.raises(TypeError, match="segmentation"):
        Object.from_record({"concept": "cup", "category_id": 2, "score": 0.5})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"counts": "04"}, "do not fill the mask"),
        ({"counts": ""}, "empty or not ASCII"),
        ({"counts": "0\x01"}, "outside of COCO's code"),
        ({"size": [3, -3]}, "is not .height, width. of a mask"),
    ],
)
def test_damaged_run_lengths_are_refused_wherever_they_are_used(damage, message):
    whole = Object.of("cup", 1, np.eye(3, dtype=bool), 0.5)
    damaged = replace(whole, segmentation={**whole.segmentation, **damage})
    for use in (lambda o: o.mask, lambda o: o.area, lambda o: o.bbox, Object.record):
        with pytest.raises(ValueError, match=message):
            use(damaged)


@given(st.lists(objects, max_size=6))
def test_the_best_score_of_each_concept(found):
    scores = best_scores(found)
    assert list(scores) == list(dict.fromkeys(each.concept for each in found))
    for concept, score in scores.items():
        assert score == max(each.score for each in found if each.concept == concept)


concept_scores = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6)


@given(concept_scores)
def test_something_is_always_worth_drawing_and_the_best_is_among_it(scores):
    kept = notable(scores)
    assert bool(kept) == bool(scores)
    if scores:
        best = highest(scores)
        assert best in kept
        assert scores[best] == max(scores.values())
        weakest = min(scores[concept] for concept in kept)
        left = [score for concept, score in scores.items() if concept not in kept]
        assert all(score <= weakest for score in left)


@given(concept_scores, st.floats(0, 1))
def test_a_threshold_of_ones_own_is_taken_as_it_is(scores, least):
    assert notable(scores, least) == [c for c, score in scores.items() if score >= least]


def test_among_equal_scores_the_last_name_is_the_highest():
    assert highest({"cup": 0.5, "mug": 0.5, "cat": 0.4}) == "mug"
    assert highest({}) is None
