"""Precision and recall against thresholds, and the thresholds for a wanted precision."""

import numpy as np
import pytest

from ipseg.scores.curves import against_threshold, presence, threshold_for


def test_precision_and_recall_by_hand():
    confidence = np.array([0.9, 0.8, 0.3, 0.7])
    good = np.array([True, False, True, True])
    there = {"a": 2, "b": 1, "c": 3}  # nothing was found in c
    low, high, none = against_threshold(
        confidence, good, ["a", "a", "a", "b"], there, [0.0, 0.75, 0.95]
    )
    assert (low.kept, low.precision, low.recall) == (4, 0.75, 0.5)
    assert (high.kept, high.precision, high.recall) == (2, 0.5, pytest.approx(1 / 6))
    assert (none.kept, none.precision, none.recall) == (0, None, 0.0)
    assert low.recall_interval[0] <= low.recall <= low.recall_interval[1]
    assert none.precision_interval is None


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    inside = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        good = draw.random(150) < 0.7
        groups = [str(n) for n in range(150)]
        (at,) = against_threshold(np.ones(150), good, groups, dict.fromkeys(groups, 1), [0.5])
        inside += at.precision_interval[0] <= 0.7 <= at.precision_interval[1]
    assert inside >= 34


def test_a_precision_takes_as_many_labels_as_its_bound_says():
    # Without an error in n, the bound is 0.05^(1/n).
    for n, precision in ((29, 0.9), (59, 0.95)):
        right = np.ones(n, bool)
        assert threshold_for(np.linspace(0.5, 1, n), right, precision) == 0.5
        assert threshold_for(np.linspace(0.5, 1, n - 1), right[1:], precision) is None


def test_the_lowest_threshold_with_the_precision_is_taken():
    confidence = np.r_[np.full(40, 0.2), np.full(60, 0.8)]
    good = np.r_[np.zeros(40, bool), np.ones(60, bool)]
    assert threshold_for(confidence, good, 0.9) == 0.201
    assert threshold_for(confidence, np.zeros(100, bool), 0.1) is None


def test_presence_has_its_chance_level_and_few_positives_have_no_number():
    draw = np.random.default_rng(0)
    present = np.arange(100) < 30
    keys = [str(n) for n in range(100)]
    found = presence(np.where(present, 0.8, 0.2) + draw.uniform(0, 0.1, 100), present, keys)
    assert (found.average_precision, found.chance, found.present) == (1.0, 0.3, 30)
    noise = presence(draw.random(100), present, keys)
    assert noise.interval[0] <= noise.average_precision <= noise.interval[1] < 0.7
    few = presence(draw.random(100), np.arange(100) < 9, keys)
    assert (few.average_precision, few.interval) == (None, None)
