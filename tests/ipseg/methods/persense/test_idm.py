"""Density to points."""

import numpy as np
import pytest

from ipseg.methods.persense.idm import InstanceDetection, composites, outer_contours, to_levels

SIDE = 256


def blobs(places, shape=(SIDE, SIDE)):
    """(H, W) density: Gaussian bumps (x, y, sigma, height), the highest one counts."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    found = np.zeros(shape, np.float32)
    for px, py, sigma, height in places:
        squared = (x - px) ** 2 + (y - py) ** 2
        found = np.maximum(found, height * np.exp(-squared / (2 * sigma**2)))
    return found.astype(np.float32)


def points(density, least=30, shape=None, **settings):
    return InstanceDetection(**settings).points(to_levels(density, shape or density.shape), least)


def test_each_blob_gives_a_point_at_its_middle():
    found = points(blobs([(40, 60, 6, 1), (150, 60, 8, 0.7), (90, 200, 5, 0.9)]))
    np.testing.assert_allclose(sorted(found.tolist()), [(40, 60), (90, 200), (150, 60)], atol=1)


def test_a_density_on_another_grid_covers_the_image():
    found = points(blobs([(64, 192, 10, 1)]), shape=(128, 512))
    np.testing.assert_allclose(found, [(128, 96)], atol=2)


def test_blobs_that_touch_are_told_apart_by_what_lies_deep_within():
    single = [(20 + 40 * i, 20 + 40 * j, 4, 1) for i in range(6) for j in range(3)]
    pair = [(80, 200, 14, 1), (130, 200, 14, 1)]
    density = blobs([*single, *pair])
    both = points(density)
    assert len(both) == len(single) + 3  # two children, and the centre of the whole
    np.testing.assert_allclose(sorted(both[:2].tolist()), [(80, 200), (130, 200)], atol=4)
    children = points(density, parents_in_points="children")
    (parent,) = {*map(tuple, both.tolist())} - {*map(tuple, children.tolist())}
    np.testing.assert_allclose(parent, (105, 200), atol=2)


@pytest.mark.parametrize(("count", "found"), [(5, 0), (6, 1)])
def test_of_five_contours_none_is_too_large(count, found):
    sizes = [(30 + 40 * i, 40, 4, 1) for i in range(count - 1)]
    binary = (blobs([*sizes, (120, 160, 30, 1)]) > 0.3).astype(np.uint8)
    assert sum(composites(outer_contours(binary))) == found


def test_lines_and_single_pixels_have_no_centre():
    density = np.zeros((64, 64), np.float32)
    density[10:13, 10:40] = 1  # one row is left of it
    density[30:33, 30:33] = 1  # one pixel
    density[40:60, 5:25] = 1
    assert points(density).tolist() == [[14, 49]]
    released = points(density, degenerate_contours="released").tolist()
    assert released.count([0, 0]) == 2
    assert len(released) == 3


def test_a_flat_density_gives_nothing():
    for value in (0, 0.5, -3):
        assert points(np.full((40, 40), value, np.float32)).shape == (0, 2)


def test_negative_densities_count_from_their_lowest():
    density = blobs([(50, 50, 6, 1)], (100, 100)) - 5
    np.testing.assert_allclose(points(density), [(50, 50)], atol=1)


def test_hybrid_takes_local_maxima_in_and_each_place_once():
    density = blobs([(60, 60, 9, 1), (84, 60, 9, 0.9), (200, 200, 5, 1)])
    plain = {*map(tuple, points(density).tolist())}
    hybrid = points(density, hybrid=True).tolist()
    assert hybrid == sorted(hybrid)
    assert plain <= {*map(tuple, hybrid)}
    assert {(60, 60), (84, 60)} <= {*map(tuple, hybrid)}


def test_at_least_95_of_100_separated_blobs_are_found():
    """200 densities of 5 to 80 blobs, some merged."""
    random = np.random.default_rng(14)
    near = total = 0
    for _ in range(200):
        cells = [(i, j) for i in range(10) for j in range(8)]
        random.shuffle(cells)
        places = [
            (25 + 50 * i + random.uniform(-8, 8), 25 + 50 * j + random.uniform(-8, 8))
            for i, j in cells[: random.integers(5, 81)]
        ]
        density = blobs_in_place(places, random, (400, 500))
        merged = [(x + 14, y) for x, y in places[::9]]  # lie against a separated one
        density = np.maximum(density, blobs_in_place(merged, random, (400, 500)))
        found = points(density).astype(float)
        alone = np.delete(np.array(places), slice(None, None, 9), axis=0)
        assert not (found == 0).all(axis=1).any()
        if len(alone):
            apart = np.linalg.norm(alone[:, None] - found, axis=2).min(axis=1)
            near += int((apart <= 5).sum())
            total += len(alone)
    assert near / total >= 0.95


def blobs_in_place(places, random, shape):
    """As `blobs`, of random sizes, drawn only around each: there are thousands."""
    found = np.zeros(shape, np.float32)
    for x, y in places:
        sigma, height = random.uniform(3, 7), random.uniform(0.4, 1)
        left, top = max(0, int(x) - 24), max(0, int(y) - 24)
        part = found[top : top + 49, left : left + 49]
        bump = blobs([(x - left, y - top, sigma, height)], part.shape)
        np.maximum(part, bump, out=part)
    return found
