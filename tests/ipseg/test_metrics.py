import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ipseg.metrics import ClassIoU, Counts, MeanIoU, average_precision

MASK_PAIRS = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)
COUNTS = st.integers(0, 10**8).flatmap(
    lambda union: st.builds(Counts, st.integers(0, union), st.just(union))
)
IMAGES = st.lists(st.tuples(st.sampled_from("abcd"), COUNTS), max_size=30)


@given(MASK_PAIRS)
def test_counts_against_sets_of_pixels(pair):
    predicted, truth = pair
    counts = Counts.of(predicted, truth)
    ours = {tuple(p) for p in np.argwhere(predicted).tolist()}
    theirs = {tuple(p) for p in np.argwhere(truth).tolist()}
    assert (counts.intersection, counts.union) == (len(ours & theirs), len(ours | theirs))
    assert type(counts.intersection) is int
    assert counts == Counts.of(truth, predicted)
    if counts.union:
        assert counts.iou == len(ours & theirs) / len(ours | theirs)
        assert 0 <= counts.iou <= 1
    else:
        assert counts.iou is None
    if predicted.any():
        assert Counts.of(predicted, predicted).iou == 1


def test_counts_that_cannot_be():
    with pytest.raises(ValueError, match="cannot be compared"):
        Counts.of(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="disagree"):
        Counts(3, 2)
    with pytest.raises(ValueError, match="disagree"):
        Counts(-1, 2)


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


def brute_average_precision(scores, present):
    total, last = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [p for s, p in zip(scores, present, strict=True) if s >= threshold]
        recall = sum(chosen) / sum(present)
        total += (recall - last) * sum(chosen) / len(chosen)
        last = recall
    return total


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=25))
def test_average_precision_against_its_definition(pairs):
    scores = [score / 8 for score, _ in pairs]
    present = [there for _, there in pairs]
    value = average_precision(scores, present)
    if all(present) or not any(present):
        assert value is None
    else:
        assert value == pytest.approx(brute_average_precision(scores, present))
        assert 0 < value <= 1


def test_average_precision_of_known_rankings():
    assert average_precision([0.9, 0.8, 0.2, 0.0], [True, True, False, False]) == 1.0
    assert average_precision([0.5, 0.5, 0.5, 0.5], [True, False, False, False]) == 0.25
    assert average_precision(np.array([0.1, 0.9]), np.array([True, False])) == 0.5


def test_import_is_light():
    code = "import sys, ipseg.metrics; print({'sklearn', 'scipy', 'cv2'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
