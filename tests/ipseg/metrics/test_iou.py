import subprocess
import sys
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ipseg.metrics import Counts, ExactMean, MeanIoU

COUNTS = st.integers(0, 10**8).flatmap(
    lambda union: st.builds(Counts, st.integers(0, union), st.just(union))
)
IMAGES = st.lists(COUNTS, max_size=30)


def mean_iou(images):
    accumulator = MeanIoU()
    for counts in images:
        accumulator.add(counts.intersection, counts.union)
    return accumulator


@given(IMAGES, st.randoms(use_true_random=False), st.integers(0, 30), st.integers(0, 30))
def test_merging_in_any_order_and_grouping_changes_nothing(images, random, cut, other_cut):
    shuffled = random.sample(images, len(images))
    first, second = sorted([cut, other_cut])
    parts = [shuffled[:first], shuffled[first:second], shuffled[second:]]
    one, two, three = map(mean_iou, parts)
    assert mean_iou(images) == (one + two) + three == three + (two + one)
    assert (mean_iou(parts[2]) + mean_iou(parts[0] + parts[1])).value == mean_iou(images).value


@given(IMAGES)
def test_formula_b_is_the_exact_mean(images):
    ious = [Fraction(c.intersection, c.union) for c in images if c.union]
    accumulator = mean_iou(images)
    assert accumulator.count == len(ious)
    if not ious:
        assert accumulator.value is None
        return
    exact = sum(ious) / len(ious)
    assert abs(Fraction(accumulator.value) - exact) <= Fraction(1, 2**53)
    assert 0 <= accumulator.value <= 1


def test_merging_does_not_change_the_parts():
    first, second = mean_iou([Counts(1, 2)]), mean_iou([Counts(2, 2)])
    assert (first + second).value == 0.75
    assert first.value == 0.5


def test_numpy_integers_do_not_overflow():
    accumulator = MeanIoU()
    for _ in range(3):
        accumulator.add(np.int64(2**31), np.int64(2**31))
    assert accumulator.value == 1.0
    assert type(accumulator.total) is int


def test_import_is_light():
    code = "import sys, ipseg.metrics; print({'sklearn', 'scipy', 'cv2'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_a_mean_of_ratios():
    mean = ExactMean()
    mean.add_ratio(1, 3)
    mean.add_ratio(3, 2)
    assert mean.value == float(Fraction(11, 12))
    assert ExactMean().value is None
