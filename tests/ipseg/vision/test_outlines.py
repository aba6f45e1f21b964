"""Outlines give the mask back: exactly along edges, and as readers of YOLO fill centres."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from ipseg.vision.centre_outlines import centre_outline, centre_parts, relative
from ipseg.vision.outlines import bridged, edge_rings, parts_of, signed_area, simplified

HEIGHT, WIDTH = 400, 500
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def disc(x, y, radius):
    return (X - x) ** 2 + (Y - y) ** 2 < radius**2


def empty():
    return np.zeros((HEIGHT, WIDTH), bool)


def one_pixel():
    mask = empty()
    mask[7, 9] = True
    return mask


def line():
    mask = empty()
    mask[7, 9:40] = True
    return mask


MASKS = {
    "disc": disc(220, 200, 150),
    "square": (Y < 5) & (X < 5),
    "one pixel": one_pixel(),
    "line": line(),
    "diagonal": np.eye(HEIGHT, WIDTH, dtype=bool),
    "two discs": disc(100, 100, 60) | disc(350, 280, 80),
    "ring": disc(220, 200, 150) & ~disc(220, 200, 80),
    "two holes": disc(220, 200, 150) & ~disc(160, 200, 40) & ~disc(280, 200, 40),
    "island in a hole": (disc(220, 200, 150) & ~disc(220, 200, 80)) | disc(220, 200, 30),
    "all": ~empty(),
}
# Least IoU after reading back, from the table of what joining lines cost.
JOINED = {"two discs": 0.995, "island in a hole": 0.995}


def filled_by_coco(rings, shape):
    flat = [ring.astype(float).ravel().tolist() for ring in rings]
    return coco.decode(coco.merge(coco.frPyObjects(flat, *shape))).astype(bool)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_outlines_along_edges_give_the_mask_back(mask):
    rings = [bridged(part.outer, part.holes) for part in parts_of(mask)]
    assert iou(filled_by_coco(rings, mask.shape), mask) == 1


def test_a_disc_has_as_many_corners_as_it_should():
    (part,) = parts_of(MASKS["disc"])
    assert len(part.outer) == 692
    assert [len(simplified(part.outer, most)) for most in (0, 1, 2)] == [692, 80, 32]


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize(("tolerance", "least"), [(0.75, 0.998), (1, 0.997), (2, 0.996)])
def test_simplifying_costs_little(tolerance, least):
    mask = MASKS["disc"]
    (part,) = parts_of(mask)
    assert iou(filled_by_coco([simplified(part.outer, tolerance)], mask.shape), mask) >= least


def test_holes_have_a_negative_area_and_parts_their_own_holes():
    (part,) = parts_of(MASKS["ring"])
    assert signed_area(part.outer) > 0 > signed_area(part.holes[0])
    outer, island = parts_of(MASKS["island in a hole"])
    assert (len(outer.holes), len(island.holes)) == (1, 0)
    assert parts_of(empty()) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1))
def test_areas_add_up_and_corners_are_turns(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    rings = edge_rings(mask)
    assert sum(map(signed_area, rings)) == mask.sum()
    for ring in rings:
        steps = np.diff(np.concatenate([ring, ring[:1]]), axis=0)
        assert ((steps == 0).sum(axis=1) == 1).all(), "each edge is level or upright"
        assert ((steps[0::2, 1] == 0) & (steps[1::2, 0] == 0)).all(), "and they alternate"
    # Pixels that touch by a corner are apart, so that there are as many parts as OpenCV counts.
    count = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    assert len(parts_of(mask)) == count


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("to_pixels", [np.trunc, np.round], ids=["cut down", "rounded"])
def test_outlines_through_centres_give_the_mask_back(name, to_pixels):
    mask = MASKS[name]
    outline = centre_outline(mask)
    assert len(outline) >= 3
    written = np.round(relative(outline, WIDTH, HEIGHT), 6) * (WIDTH, HEIGHT)
    canvas = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(canvas, [to_pixels(written).astype(np.int32)], 1)
    assert iou(canvas > 0, mask) >= JOINED.get(name, 1)


def test_each_part_has_its_own_outline_through_centres():
    assert len(centre_parts(MASKS["two discs"])) == 2
    assert len(centre_parts(MASKS["diagonal"])) == 1
    with pytest.raises(ValueError, match="empty"):
        centre_outline(empty())
