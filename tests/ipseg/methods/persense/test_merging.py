"""Masks that hold several instances."""

import numpy as np
import pytest

from ipseg.methods.persense.merging import independent, largest_usual, without_merged
from ipseg.objects import Object


def square(x, y, side):
    mask = np.zeros((300, 300), bool)
    mask[y : y + side, x : x + side] = True
    return Object.of("disc", 1, mask, 0.9)


SMALL = [square(20 * i, 10 * (i % 3), 9 + i % 3) for i in range(12)]
LARGE = square(50, 60, 200)


def test_the_limit_is_the_sum_of_two():
    areas = np.array([10.0, 10, 12, 12, 100])
    usual = areas[:4]
    quartiles = 12 + 2 * (12 - 10)
    assert largest_usual(areas) == pytest.approx(usual.mean() + 2 * usual.std() + quartiles)


def test_what_is_far_too_large_is_left_out():
    assert without_merged([*SMALL, LARGE], None) == SMALL
    assert without_merged(SMALL, None) == SMALL
    assert without_merged([LARGE], None) == [LARGE]
    assert without_merged(SMALL[::3], None) == SMALL[::3]  # of one size


@pytest.mark.parametrize(("shift", "stays"), [(0, True), (10, True), (60, False)])
def test_unless_it_agrees_with_a_box_of_one_object(shift, stays):
    boxes = np.array([[50.9 + shift, 60.2, 249.3 + shift, 259.8], [0, 0, 9, 9]])
    assert (LARGE in without_merged([*SMALL, LARGE], boxes)) == stays


def test_a_box_that_contains_another_is_not_of_one_object():
    outer, inner, alone = [0, 0, 100, 100], [10, 10, 20, 20], [200, 0, 250, 50]
    assert independent(np.array([outer, inner, alone], float)).tolist() == [inner, alone]
    assert len(independent(np.array([outer], float))) == 0
