import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ipseg.metrics import Boundary
from ipseg.metrics.boundary import outline, reach

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
MASKS = SHAPES.flatmap(lambda shape: arrays.arrays(bool, shape))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[arrays.arrays(bool, shape)] * 2))


def brute_outline(mask):
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return {
        (y, x)
        for y, x in np.ndindex(mask.shape)
        if len(set(padded[y : y + 2, x : x + 2].ravel().tolist())) == 2
    }


def brute_near(line, other, radius):
    return sum(any(math.dist(a, b) <= radius for b in other) for a in line)


@given(MASKS)
def test_an_outline_is_where_a_window_of_four_pixels_has_both_values(mask):
    found = {tuple(p) for p in np.argwhere(outline(mask)).tolist()}
    assert found == brute_outline(mask)


@given(PAIRS)
def test_matches_are_pixels_within_euclidean_reach(pair):
    predicted, ground_truth = pair
    ours, theirs = brute_outline(predicted), brute_outline(ground_truth)
    radius = reach(*ground_truth.shape)
    assert Boundary.of(predicted, ground_truth) == Boundary(
        len(theirs), brute_near(theirs, ours, radius), len(ours), brute_near(ours, theirs, radius)
    )


def test_reach_is_rounded_up_and_eight_pixels_at_480p():
    assert [reach(*s) for s in ((480, 854), (120, 213), (1, 1), (75, 100))] == [8, 2, 1, 1]


def test_an_outline_is_above_and_left_of_the_border():
    mask = np.zeros((6, 7), bool)
    mask[2:4, 3:5] = True
    assert np.argwhere(outline(mask)).tolist() == [
        [1, 2], [1, 3], [1, 4], [2, 2], [2, 4], [3, 2], [3, 3], [3, 4],
    ]  # fmt: skip
    assert not outline(np.ones((4, 4), bool)).any()


@pytest.mark.parametrize(
    ("predicted", "ground_truth", "f"),
    [(False, False, 1.0), (True, False, 0.0), (False, True, 0.0)],
)
def test_f_without_an_outline(predicted, ground_truth, f):
    one = np.zeros((9, 9), bool)
    one[3:6, 3:6] = True
    assert Boundary.of(one & predicted, one & ground_truth).f == f


def test_f_of_outlines_that_match_and_of_outlines_that_do_not():
    near, far = np.zeros((2, 40, 60), bool)
    near[3:9, 3:9] = True
    far[30:36, 50:56] = True
    assert Boundary.of(near, near).f == 1.0
    assert Boundary.of(near, far).f == 0.0
    # Precision 1 and recall 1/2: two pieces, one of them found.
    boundary = Boundary.of(near, near | far)
    assert boundary.predicted_matched == boundary.predicted_boundary
    assert boundary.f == pytest.approx(2 / 3)


def test_ignored_pixels_are_removed_from_both_masks_first():
    predicted, ground_truth, ignore = np.zeros((3, 30, 30), bool)
    ground_truth[5:20, 5:20] = True
    predicted[5:25, 5:20] = True
    ignore[12:] = True
    boundary = Boundary.of(predicted, ground_truth, ignore)
    assert boundary == Boundary.of(ground_truth & ~ignore, ground_truth & ~ignore)
    assert boundary.f == 1.0
    assert Boundary.of(predicted, ground_truth).f < 1.0


def test_impossible_boundaries():
    for wrong in ((1, 2, 3, 3), (3, 3, 1, 2), (3, -1, 3, 3)):
        with pytest.raises(ValueError, match="inconsistent"):
            Boundary(*wrong)


def test_golden_boundaries(golden, numbers, golden_video):
    for name, frames in golden_video.items():
        counts = [list(vars(boundary).values()) for _, boundary in frames]
        np.testing.assert_array_equal(counts, numbers[f"{name}.boundary"])
        found = [boundary.f for _, boundary in frames]
        np.testing.assert_allclose(found, numbers[f"{name}.F"], rtol=0, atol=1e-12)
    ground_truth, predicted, void = golden.pair()
    assert (
        list(vars(Boundary.of(predicted, ground_truth)).values())
        == numbers["pair.boundary"].tolist()
    )
    judged = Boundary.of(predicted, ground_truth, void)
    assert list(vars(judged).values()) == numbers["pair.void.boundary"].tolist()
