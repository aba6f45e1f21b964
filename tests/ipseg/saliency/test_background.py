import numpy as np
from scipy.spatial.distance import cdist

from ipseg.saliency.background import (
    background_weight,
    diffuse,
    foreground_contrast,
)
from ipseg.vision.superpixels import superpixels, to_lab


def scene():
    """A red square in the middle of a green field, and one of the same red at the border."""
    image = np.full((160, 240, 3), (60, 140, 60), np.uint8)
    image[50:110, 90:150] = (200, 40, 40)
    pieces = superpixels(to_lab(image), 150)
    inside = pieces.mean((image[..., 0] == 200).astype(float)) > 0.9
    outside = pieces.mean((image[..., 0] == 60).astype(float)) > 0.9
    return pieces, inside, outside


def test_regions_at_the_border_are_background_and_others_have_contrast():
    pieces, inside, outside = scene()
    distance = cdist(pieces.colour, pieces.colour)
    background = background_weight(pieces, distance)
    assert background[outside].min() > 0.9
    assert background[inside].max() < 0.1
    contrast = foreground_contrast(pieces, distance, background)
    assert contrast[inside].min() > 5 * contrast[outside].max()


def test_diffusion_keeps_trusted_values_and_spreads_them():
    chain = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    trust = np.array([1e6, 0, 0, 0, 1e6])
    solved = diffuse(chain, np.array([0.0, 9, 9, 9, 1]), trust)
    np.testing.assert_allclose(solved, [0, 0.25, 0.5, 0.75, 1], atol=1e-4)


def test_diffusion_does_not_mix_unlinked_nodes():
    apart = np.zeros((3, 3))
    targets = np.array([0.2, 0.4, 0.8])
    np.testing.assert_allclose(diffuse(apart, targets, np.ones(3)), targets)
