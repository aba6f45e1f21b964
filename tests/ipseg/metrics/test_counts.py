import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ipseg.metrics import Counts, Region

MASK_PAIRS = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)
TRIPLES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(*[arrays.arrays(bool, shape)] * 3)
)


@given(MASK_PAIRS)
def test_counts_against_sets_of_pixels(pair):
    predicted, ground_truth = pair
    counts = Counts.of(predicted, ground_truth)
    ours = {tuple(p) for p in np.argwhere(predicted).tolist()}
    theirs = {tuple(p) for p in np.argwhere(ground_truth).tolist()}
    assert (counts.intersection, counts.union) == (len(ours & theirs), len(ours | theirs))
    assert type(counts.intersection) is int
    assert counts == Counts.of(ground_truth, predicted)
    if counts.union:
        assert counts.iou == len(ours & theirs) / len(ours | theirs)
        assert 0 <= counts.iou <= 1
    else:
        assert counts.iou is None
    if predicted.any():
        assert Counts.of(predicted, predicted).iou == 1


def test_impossible_counts():
    with pytest.raises(ValueError, match="cannot be compared"):
        Counts.of(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="inconsistent"):
        Counts(3, 2)
    with pytest.raises(ValueError, match="inconsistent"):
        Counts(-1, 2)


@given(TRIPLES)
def test_a_region_against_sets_of_pixels(masks):
    predicted, ground_truth, ignore = masks
    judged = {tuple(p) for p in np.argwhere(~ignore).tolist()}
    ours, theirs = ({tuple(p) for p in np.argwhere(m).tolist()} & judged for m in masks[:2])
    region = Region.of(predicted, ground_truth, ignore)
    assert region == Region(
        len(judged), len(ours & theirs), len(ours | theirs), len(theirs), len(ours)
    )
    assert all(type(number) is int for number in vars(region).values())


@given(MASK_PAIRS)
def test_a_region_without_ignored_pixels_has_all_pixels(pair):
    predicted, ground_truth = pair
    assert Region.of(predicted, ground_truth) == Region.of(
        predicted, ground_truth, np.zeros_like(ground_truth)
    )
    assert Region.of(predicted, ground_truth).pixels == ground_truth.size


def test_impossible_regions():
    for wrong in (
        (5, 3, 2, 2, 2),
        (4, 1, 5, 3, 3),
        (9, 1, 5, 3, 4),
        (9, 2, 2, 1, 3),
        (9, -1, 1, 0, 0),
    ):
        with pytest.raises(ValueError, match="inconsistent"):
            Region(*wrong)
    small, large = np.zeros((2, 2), bool), np.zeros((2, 3), bool)
    with pytest.raises(ValueError, match="cannot be compared"):
        Region.of(small, large)
    with pytest.raises(ValueError, match="do not fit"):
        Region.of(large, large, small)


def test_golden_counts(golden, numbers):
    images = golden.images()
    plain = [list(vars(Region.of(p, t)).values()) for _, p, t, _ in images]
    judged = [list(vars(Region.of(p, t, v)).values()) for _, p, t, v in images]
    np.testing.assert_array_equal(plain, numbers["plain.counts"])
    np.testing.assert_array_equal(judged, numbers["ignore.counts"])
