"""Sets of points: all or some of them, the same in every run."""

import random
from math import comb

import numpy as np
import pytest
import torch

from ipseg.methods.matcher.sampling import drawn_for, gathered, prompt_sets, subsets
from ipseg.methods.matcher.settings import Sampling

FEW = np.array([[7 * n, 3 * n * n] for n in range(8)])
MANY = np.array([[14 * (n % 6) + 7, 14 * (n // 6) + 7] for n in range(30)])


def sets(points, settings, concept="cat"):
    return [[p.coords.tolist() for p in group] for group in prompt_sets(points, settings, concept)]


def test_few_points_give_all_their_subsets():
    groups = list(subsets(FEW, Sampling(least=4, most=6), drawn_for(0)))
    assert [len(each) for each in groups] == [comb(8, 4), comb(8, 5), comb(8, 6)]
    assert all(len({tuple(map(tuple, one)) for one in each}) == len(each) for each in groups)


def test_many_points_give_so_many_of_each_size():
    groups = list(subsets(MANY, Sampling(least=1, most=6, subsets=5), drawn_for(0)))
    assert [each.shape for each in groups] == [(5, size, 2) for size in range(1, 7)]
    for one in groups[-1]:
        assert len({tuple(point) for point in one}) == 6


@pytest.mark.parametrize("count", [1, 3])
def test_sets_are_not_larger_than_what_there_is(count):
    (group,) = subsets(FEW[:count], Sampling(least=4, most=6), drawn_for(0))
    assert group.shape == (1, count, 2)


def test_what_is_drawn_depends_on_the_concept_and_the_seed_alone():
    settings = Sampling(centres=None)
    random.seed(1)
    first = sets(MANY, settings)
    random.seed(2)
    assert sets(MANY, settings) == first
    assert sets(MANY, settings, "dog") != first
    assert sets(MANY, Sampling(centres=None, seed=1)) != first


def test_all_sets_go_with_the_box_of_all_points():
    (prompts, *_) = prompt_sets(MANY, Sampling(centres=None, box=True), "cat")
    assert {tuple(each.box) for each in prompts} == {(7, 7, 77, 63)}


def test_centres_are_means_of_what_is_nearest_to_them():
    places = np.array([[10, 10], [13, 10], [100, 50], [100, 55], [40, 200]])
    found = gathered(places, 3, torch.Generator().manual_seed(0))
    assert {tuple(each) for each in found} == {(11, 10), (100, 52), (40, 200)}


def test_centres_of_points_that_cannot_be_parted_are_fewer():
    found = gathered(np.array([[5, 5]] * 9 + [[50, 5]]), 4, torch.Generator().manual_seed(0))
    assert {tuple(each) for each in found} == {(5, 5), (50, 5)}
