"""Whether probabilities come true, against the numbers of a simulation of one's own."""

import numpy as np
import pytest

from ipseg.scores.reliability import reliability


def drawn(n, seed=0, shift=0.0):
    draw = np.random.default_rng(seed)
    p = draw.uniform(0, 1, n)
    return np.clip(p + shift, 0, 1), draw.random(n) < p


# ECE of a perfect score with 10 bins of equal mass: mean and 95 % quantile.
@pytest.mark.parametrize(("n", "mean", "high"), [(100, 0.099, 0.142), (1000, 0.032, 0.047)])
def test_the_noise_floor_is_that_of_a_perfect_probability(n, mean, high):
    found = reliability(*drawn(n))
    assert found.floor == pytest.approx(mean, rel=0.15)
    assert found.floor_high == pytest.approx(high, rel=0.15)


def test_a_true_probability_is_within_its_floor_and_a_false_one_is_not():
    within = sum(
        (found := reliability(*drawn(300, seed))).ece <= found.floor_high for seed in range(40)
    )
    assert within >= 34
    wrong = reliability(*drawn(300, shift=0.2))
    assert wrong.ece > wrong.floor_high
    assert wrong.calibration > 0.02


def test_numbers_of_a_case_by_hand():
    p = np.repeat([0.2, 0.8], 10)
    outcomes = np.r_[[True] * 2, [False] * 8, [True] * 6, [False] * 4]
    found = reliability(p, outcomes)
    assert (found.labels, found.positive) == (20, 8)
    assert found.brier == pytest.approx(np.mean((p - outcomes) ** 2))
    assert found.brier == pytest.approx(found.calibration + found.refinement)
    assert sum(point.count for point in found.points) == 20
    assert all(point.low <= point.observed <= point.high for point in found.points)
    few = reliability(np.array([0.3]), np.array([True]))
    assert (len(few.points), few.ece) == (1, pytest.approx(0.7))
