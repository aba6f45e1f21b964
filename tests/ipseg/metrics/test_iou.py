import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.metrics import ClassIoU, Counts, ExactMean, MeanIoU

COUNTS = st.integers(0, 10**8).flatmap(
    lambda union: st.builds(Counts, st.integers(0, union), st.just(union))
)
IMAGES = st.lists(st.tuples(st.sampled_from("abcd"), COUNTS), max_size=30)


def mean_iou(images):
    accumulator = MeanIoU()
    for _, counts in images:
        accumulator.add(counts.intersection, counts.union)
    return accumulator


def class_iou(images):
    accumulator = ClassIoU()
    for name, counts in images:
        accumulator.add(name, counts)
    return accumulator


@given(IMAGES, st.randoms(use_true_random=False), st.integers(0, 30), st.integers(0, 30))
def test_merging_in_any_order_and_grouping_changes_nothing(images, random, cut, other_cut):
    shuffled = random.sample(images, len(images))
    first, second = sorted([cut, other_cut])
    parts = [shuffled[:first], shuffled[first:second], shuffled[second:]]
    for build in (mean_iou, class_iou):
        one, two, three = map(build, parts)
        whole = build(images)
        assert whole == (one + two) + three == three + (two + one)
    assert (mean_iou(parts[2]) + mean_iou(parts[0] + parts[1])).value == mean_iou(images).value
    merged = class_iou(parts[2]) + class_iou(parts[0] + parts[1])
    assert merged.seen_classes == class_iou(images).seen_classes
    assert merged.all_classes("abcde") == class_iou(images).all_classes("edcba")


@given(IMAGES)
def test_formula_b_is_the_exact_mean(images):
    ious = [Fraction(c.intersection, c.union) for _, c in images if c.union]
    accumulator = mean_iou(images)
    assert accumulator.count == len(ious)
    if not ious:
        assert accumulator.value is None
        return
    exact = sum(ious) / len(ious)
    assert abs(Fraction(accumulator.value) - exact) <= Fraction(1, 2**53)
    assert 0 <= accumulator.value <= 1


@given(IMAGES)
def test_formulas_a_against_fractions(images):
    sums = {}
    for name, counts in images:
        inside, union = sums.get(name, (0, 0))
        sums[name] = inside + counts.intersection, union + counts.union
    ratios = {name: Fraction(i, max(u, 1)) for name, (i, u) in sums.items()}
    accumulator = class_iou(images)
    assert accumulator.all_classes("abcde") == pytest.approx(float(sum(ratios.values()) / 5))
    if ratios:
        seen = float(sum(ratios.values()) / len(ratios))
        assert accumulator.seen_classes == pytest.approx(seen)
    else:
        assert accumulator.seen_classes is None
    assert accumulator.all_classes([]) is None


def test_the_formulas_differ_on_the_same_masks():
    images = [("cat", Counts(90, 100)), ("cat", Counts(0, 10)), ("dog", Counts(1, 2))]
    assert mean_iou(images).value == pytest.approx((0.9 + 0 + 0.5) / 3)  # B
    assert class_iou(images).seen_classes == pytest.approx((90 / 110 + 0.5) / 2)  # A'
    assert class_iou(images).all_classes(["cat", "dog", "cow", "cat"]) == pytest.approx(
        (90 / 110 + 0.5 + 0) / 3  # A: the cow that never occurred counts
    )


def test_merging_leaves_its_parts_alone():
    one, two = class_iou([("a", Counts(1, 2))]), class_iou([("a", Counts(1, 3))])
    assert (one + two).classes == {"a": Counts(2, 5)}
    assert one.classes == {"a": Counts(1, 2)}
    first, second = mean_iou([("a", Counts(1, 2))]), mean_iou([("a", Counts(2, 2))])
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


def test_a_mean_of_ratios_stays_what_it_is():
    assert type(MeanIoU() + MeanIoU()) is MeanIoU
    mean = ExactMean()
    mean.add_ratio(1, 3)
    mean.add_ratio(3, 2)
    assert (mean + ExactMean()).value == float(Fraction(11, 12))
    assert ExactMean().value is None
