"""The rules of Matcher's video recipe, on numbers that show each."""

import numpy as np
import pytest
import torch

from ipseg.methods.matcher.settings import Tracking
from ipseg.methods.matcher.tracking import (
    Assigned,
    Reference,
    assigned,
    kept_scores,
    nearness,
    remembered,
    steady,
    voted,
)
from ipseg.methods.matcher.wide import Wide

GRID = (4, 6)
CELLS = GRID[0] * GRID[1]


def said(*cells):
    return Assigned(np.array(cells), np.zeros((1, CELLS), np.float32))


def reference(number, score):
    return Reference(torch.zeros(1, 1), {}, number, score)


def test_each_object_gets_the_cells_that_look_like_it():
    looks = torch.eye(CELLS)
    objects = {"a": np.arange(CELLS) < 5, "b": np.arange(CELLS) >= 20}
    example = Reference(looks, objects, given=True)
    moved = looks.roll(3, 0)
    found = assigned(example, moved, GRID, 0, Tracking(prior=0))
    assert sorted(found["a"].cells) == [3, 4, 5, 6, 7]
    assert sorted(found["b"].cells) == [0, 1, 2, 23]
    assert found["a"].costs.shape == (5, CELLS)
    assert found["a"].costs[0, 3] == 0
    assert found["a"].costs[0, 4] == 0.5


def test_of_a_frame_before_the_likest_pairs_are_kept():
    random = np.random.default_rng(0)
    looks = torch.from_numpy(random.normal(size=(CELLS, 8)).astype(np.float32))
    looks = looks / looks.norm(dim=1, keepdim=True)
    inside = {"a": np.ones(CELLS, bool)}
    for given, kept in ((True, CELLS), (False, int(0.8 * CELLS))):
        found = assigned(Reference(looks, inside, given=given), looks, GRID, 1, Tracking())
        assert len(found["a"].cells) == kept


def test_where_all_looks_alike_what_is_near_is_preferred_but_not_for_ever():
    looks = torch.ones(CELLS, 1)
    known = Reference(looks, {"a": np.arange(CELLS) % 5 == 1}, number=3)
    found = assigned(known, looks, GRID, 4, Tracking())
    assert sorted(found["a"].cells) == np.flatnonzero(known.inside["a"]).tolist()


def test_nearness_falls_with_the_distance_from_one_to_nothing():
    near = nearness(GRID)
    assert near.shape == (CELLS, CELLS)
    np.testing.assert_allclose(near.diagonal(), 1, atol=1e-5)
    assert near.min() == 0
    assert near[0, 0] > near[0, 1] > near[0, 2]
    assert near[0, 1] == pytest.approx(near[0, GRID[1]]), "as far along a row as down a column"


def test_half_of_the_references_or_as_many_as_agree_choose_a_cell():
    assert voted([said(1, 2), said(2, 3)], CELLS).tolist() == [1, 2, 3]
    assert voted([said(1, 2), said(2, 3), said(5)], CELLS).tolist() == [2]
    assert voted([said(1), said(2), said(3)], CELLS).tolist() == [1, 2, 3]


def test_small_clusters_and_those_far_away_are_no_points():
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10], [500, 500], [5, 5]])
    sizes = torch.tensor([8, 8, 8, 8, 8, 1])
    assert steady(centres, sizes).tolist() == centres[:4].tolist()
    assert steady(centres[:1], sizes[:1]).tolist() == centres[:1].tolist()
    assert steady(centres[:4], sizes[:4]).tolist() == centres[:4].tolist()


def test_masks_are_kept_by_likeness_then_by_worth():
    likeness = np.array([0.9, 0.9, 0.5, 0.899, 0.8, 0.9])
    total = np.array([0.8, 0.6, 2.0, 0.9, 3.0, 0.8])
    # The third is unlike, the fifth after spreading; the last is worth the same as the first.
    assert kept_scores(likeness, total, Tracking()).tolist() == [3, 0]
    assert kept_scores(likeness, total, Tracking(least_score=0)).tolist() == [3, 0, 1]
    assert kept_scores(likeness, total, Tracking(least_score=9, most=1)).tolist() == [3]
    assert kept_scores(np.array([0.1]), np.array([0.0]), Tracking()).tolist() == [0]


def test_the_last_frame_and_the_best_of_those_before_are_remembered():
    known = [reference(0, 0.9), reference(1, 0.2), reference(2, 0.8), reference(3, 0.1)]

    def numbers(now, **settings):
        return [each.number for each in remembered(known, now, Tracking(**settings))]

    assert numbers(4) == [0, 2, 3]
    assert numbers(4, frames=2) == [3]
    assert numbers(4, frames=1) == []
    assert numbers(24, frames=3) == [2, 3], "the first is so old that it counts nearly nothing"
    assert [each.number for each in remembered([], 0, Tracking())] == []


def test_an_upright_frame_lies_in_an_upright_oblong():
    wide = Wide(first=60, short=56, long=98)
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, :60] = 255
    placed = wide.place(image)
    assert placed.shape == (56, 98, 3)
    assert placed[:, :45].min() > 200
    assert placed[:, 53:].max() < 50
    mask = wide.place_mask(image[..., 0] > 0)
    assert mask.shape == (56, 98)
    assert mask[:, :48].all()
    assert not mask[:, 50:].any()
    assert wide.place(image.transpose(1, 0, 2)).shape == (98, 56, 3)
