import numpy as np
import pytest

from ipseg.methods.insid3.edges import EdgeOutlines


@pytest.fixture(scope="module")
def scene():
    """A bright disc with some noise, and the same as a mask."""
    y, x = np.mgrid[:128, :128]
    disc = np.hypot(y - 64, x - 60) < 30
    noise = np.random.default_rng(0).integers(0, 12, (128, 128, 3))
    return (np.where(disc[..., None], 200, 60) + noise).astype(np.uint8), disc


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_an_outline_moves_to_the_edge(scene):
    image, disc = scene
    edges = EdgeOutlines(image)
    for moved in (np.roll(disc, 3, axis=1), np.roll(disc, -3, axis=0)):
        assert iou(moved, disc) < 0.9
        assert iou(edges.refine(moved), disc) > 0.99


def test_nothing_changes_off_the_band(scene):
    image, disc = scene
    far = np.zeros_like(disc)
    far[40:100, 5:100] = True
    changed = EdgeOutlines(image).refine(far) != far
    y, x = np.nonzero(changed)
    outline = np.minimum.reduce([abs(y - 39.5), abs(y - 99.5), abs(x - 4.5), abs(x - 99.5)])
    assert (outline <= 5.5).all()


def test_a_mask_of_everything_stays_inside(scene):
    found = EdgeOutlines(scene[0]).refine(np.ones((128, 128), bool))
    assert found[5:-5, 5:-5].all()
