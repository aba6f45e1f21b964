"""Where instances are in a map, and what points they get."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.features.similarity import FINER
from ipseg.methods.ipseg.instances import (
    Instances,
    Known,
    Place,
    peaks,
    placed_places,
    places,
    prompts,
    region_evidence,
)
from ipseg.methods.ipseg.points import PointSelection

GRID = (30, 40)
SETTINGS = Instances(mode="each")
FREE = np.ones(GRID, bool)
NONE = np.zeros((0, FINER * GRID[0], FINER * GRID[1]), np.float32)


def hills(*tops, width=2.5):
    """A map with a Gaussian hill at each (x, y, height)."""
    y, x = np.mgrid[: GRID[0], : GRID[1]]
    each = [h * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2)) for cx, cy, h in tops]
    return np.max([np.zeros(GRID), *each], axis=0).astype(np.float32)


def placement(x, y, side, score):
    made = np.zeros(NONE.shape[1:], np.float32)
    made[FINER * y : FINER * (y + side), FINER * x : FINER * (x + side)] = score
    return made


@pytest.mark.parametrize(
    ("tops", "count"),
    [
        ([(10, 10, 4.0)], 1),
        ([(8, 10, 4.0), (28, 20, 3.0)], 2),
        ([(5, 5, 4.0), (20, 5, 4.0), (35, 5, 4.0), (5, 24, 4.0), (20, 24, 4.0), (35, 24, 4.0)], 6),
        ([(10, 10, 4.0), (13, 10, 4.0)], 1),  # no valley between them
        ([], 0),
    ],
)
def test_each_hill_is_a_peak(tops, count):
    found = peaks(hills(*tops), FREE, SETTINGS)
    assert len(found) == count
    for place, (x, y, _) in zip(found, sorted(tops, key=lambda top: -top[2]), strict=False):
        assert place.cells[y, x] or count > 2, "the highest first"
    assert np.sum([place.cells for place in found], axis=0).max(initial=0) <= 1


def test_how_deep_a_valley_parts_two_hills_is_a_setting():
    near = hills((10, 10, 4.0), (14, 10, 4.0), width=2.5)
    assert len(peaks(near, FREE, replace(SETTINGS, valley=0.9))) == 1
    assert len(peaks(near, FREE, replace(SETTINGS, valley=0.1))) == 2


def test_what_is_taken_has_no_peak():
    two = hills((8, 10, 4.0), (28, 20, 3.0))
    left = FREE.copy()
    left[:, :18] = False
    (place,) = peaks(two, left, SETTINGS)
    assert place.cells[20, 28]
    assert not place.cells[:, :18].any()


def test_the_placements_that_are_kept_are_apart_and_not_much_weaker():
    given_ = np.stack(
        [
            placement(20, 10, 6, 0.8),
            placement(2, 2, 8, 0.9),
            placement(3, 3, 8, 0.7),  # a repeat
            placement(3, 3, 3, 0.7),  # inside
            placement(30, 20, 6, 0.3),  # weak beside the others
        ]
    )
    found = placed_places(given_, SETTINGS)
    assert [float(place.placement.max()) for place in found] == pytest.approx([0.9, 0.8])
    assert found[0].cells[2:10, 2:10].all()
    assert found[0].cells.sum() == 64
    assert placed_places(NONE, SETTINGS) == []
    assert len(placed_places(given_, replace(SETTINGS, max_instances=1))) == 1


def test_a_peak_counts_if_it_looks_like_what_was_found():
    similarity = hills((8, 10, 4.0), (28, 20, 3.0))
    local = hills((8, 10, 0.8), (28, 20, 0.5), width=20)

    def count(known=Known(), settings=SETTINGS, evidence=local):  # noqa: B008
        return len(places(similarity, evidence, NONE, ~FREE, known, settings))

    assert count(settings=replace(SETTINGS, likeness=0.95)) == 1
    assert count(settings=replace(SETTINGS, likeness=0.4)) == 2
    assert count(Known(1.0, (5,))) == 0
    assert count(evidence=local / 10) == 0, "nothing is convincing"
    assert count(Known(certain=True), evidence=local / 10) > 0, "it is known to be there"
    assert count(settings=replace(SETTINGS, convincing=0.9)) == 0
    flat = np.full(GRID, 0.6, np.float32)
    assert count(evidence=flat) == 2
    assert count(evidence=flat, settings=replace(SETTINGS, max_instances=1)) == 1


def test_less_evidence_is_enough_for_an_area_like_that_of_the_others():
    region = np.zeros(GRID, bool)
    region[:10, :10] = True
    local = np.full(GRID, 0.8, np.float32)
    for evidence, area in ((0.9, 100), (0.9, 30), (1.0, 100)):
        assert Known(evidence, (area,), certain=True).like(region, local, SETTINGS)
    for evidence, area, seen in ((1.0, 30, local), (1.0, 300, local), (1.0, 100, local * 0.8)):
        assert not Known(evidence, (area,), certain=True).like(region, seen, SETTINGS)


def test_where_the_concept_is_not_certain_others_are_of_the_same_size():
    region = np.zeros(GRID, bool)
    region[:10, :10] = True
    local = np.full(GRID, 0.8, np.float32)
    assert Known(0.9, (100,)).like(region, local, SETTINGS)
    assert not Known(0.9, (30,)).like(region, local, SETTINGS)


def test_peaks_are_looked_for_beside_placements():
    similarity = hills((8, 10, 9.0), (28, 20, 3.0))
    placed = placement(4, 6, 8, 0.9)[None]
    found = places(similarity, np.full(GRID, 0.6, np.float32), placed, ~FREE, Known(), SETTINGS)
    assert [place.placement is not None for place in found] == [True, False]
    assert found[1].cells[20, 28], "though it is much lower"


@given(st.integers(1, 6), st.integers(0, 2**16), st.integers(1, 8))
def test_points_are_on_the_instance_and_off_the_others(count, seed, clusters):
    rng = np.random.default_rng(seed)
    similarity = rng.normal(size=GRID).astype(np.float32)
    owner = rng.integers(0, count + 1, (3, 4)).repeat(10, axis=0).repeat(10, axis=1)
    found = [Place(owner == n) for n in range(count) if (owner == n).any()]
    background = np.array([[1, 1, 0], [5, 5, 1]], np.float32)
    selection = PointSelection(k=16, clusters=clusters, snap=True)
    size = (400, 300)
    made = list(prompts(found, similarity, background, size, selection))
    assert len(made) == len(found)
    assert len({len(prompt.labels[prompt.labels == 0]) for prompt, _ in made}) <= 1, "one batch"
    for place, (prompt, alone) in zip(found, made, strict=True):
        cells = (prompt.coords // 10).astype(int)
        on = place.cells[cells[:, 1], cells[:, 0]]
        assert on[prompt.labels == 1].all()
        assert not on[prompt.labels == 0][1:].any(), "the first is that of the whole map"
        assert np.array_equal(alone[place.cells], similarity[place.cells])
        others = np.any([p.cells for p in found if p is not place] or [~FREE], axis=0)
        assert (alone[others] == similarity.min()).all()


def test_points_lie_where_instances_do_not_overlap():
    left, right = np.zeros(GRID, bool), np.zeros(GRID, bool)
    left[5:15, 5:20], right[5:15, 12:30] = True, True
    made = prompts(
        [Place(left), Place(right)],
        hills((16, 10, 4.0)),
        np.zeros((0, 3), np.float32),
        (40, 30),
        PointSelection(snap=True),
    )
    (first, _), (second, _) = made
    assert (first.coords[first.labels == 1][:, 0] < 12).all()
    assert (second.coords[second.labels == 1][:, 0] > 20).all()
    inside = np.ones(GRID, bool)
    covered = list(
        prompts(
            [Place(left), Place(inside)],
            hills(),
            np.zeros((0, 3), np.float32),
            (40, 30),
            PointSelection(),
        )
    )
    assert all((prompt.labels == 1).any() for prompt, _ in covered), "even one that others cover"


def test_evidence_is_that_of_the_best_third_of_a_region():
    local = np.zeros(GRID, np.float32)
    local[:4] = 0.8
    region = np.zeros(GRID, bool)
    region[:10] = True
    assert region_evidence(local, region) == pytest.approx(0.8)
    assert region_evidence(local, ~FREE) == 0


@given(st.booleans(), st.integers(0, 2**32 - 1))
def test_where_nothing_is_looked_for_no_region_is_like_what_was_found(certain, seed):
    random = np.random.default_rng(seed)
    local = random.random((9, 9), dtype=np.float32)
    left = random.random((9, 9)) < random.uniform(0.2, 1)
    ranked = np.sort(local[left])[::-1]
    # The best cells that are left, which have most evidence; so many that they are a region.
    for count in range(4, len(ranked)):
        region = left & (local >= ranked[count - 1])
        evidence = region_evidence(local, region) / random.uniform(0.7, 1)
        area = max(1, round(count * random.uniform(0.5, 2)))
        known = Known(evidence, (area,), certain)
        if known.none_like(left, local, SETTINGS):
            assert not known.like(region, local, SETTINGS)
