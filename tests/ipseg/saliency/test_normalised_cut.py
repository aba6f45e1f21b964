import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from ipseg.saliency.normalised_cut import bipartition, main_part


@st.composite
def boxes(draw):
    """A small box strictly inside a grid: at most a third of the cells, far from the border."""
    height, width = draw(st.integers(6, 14)), draw(st.integers(6, 14))
    top, left = draw(st.integers(1, height - 3)), draw(st.integers(1, width - 3))
    bottom = draw(st.integers(top + 1, min(height - 1, top + height // 2)))
    right = draw(st.integers(left + 1, min(width - 1, left + width // 2)))
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def features_of(mask, noise=0.3, seed=0):
    random = np.random.default_rng(seed)
    kinds = np.eye(2, 24, dtype=np.float32)
    return kinds[mask.astype(int)] + noise / 24**0.5 * random.standard_normal(
        (*mask.shape, 24)
    ).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(boxes(), st.floats(0.01, 100))
def test_a_distinct_box_is_the_object(mask, scale):
    side = bipartition(scale * features_of(mask), tau=0.3)
    assert np.array_equal(side > 0.5, mask)
    assert side.min() == 0
    assert side.max() == 1


@settings(deadline=None, max_examples=15)
@given(boxes())
def test_the_cut_of_a_rotated_image_is_the_rotated_cut(mask):
    features = features_of(mask)
    turned = bipartition(np.rot90(features).copy(), tau=0.3)
    assert np.allclose(turned, np.rot90(bipartition(features, tau=0.3)), atol=1e-6)


def test_the_vector_solves_the_generalised_problem():
    random = np.random.default_rng(4)
    mask = np.zeros((7, 9), bool)
    mask[2:5, 3:6] = True
    features = features_of(mask, noise=1.2, seed=4)  # several cosines on the wrong side of tau
    tau = 0.45
    unit = features.reshape(63, -1).astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    weights = np.where(unit @ unit.T > tau, 1.0, 1e-5)
    degrees = np.diag(weights.sum(axis=1))
    _, vectors = eigh(degrees - weights, degrees)
    wanted = vectors[:, 1]
    above = wanted > wanted.mean()
    if not above[np.abs(wanted).argmax()]:
        wanted, above = -wanted, wanted < wanted.mean()
    side = bipartition(features * random.uniform(1, 2, (7, 9, 1)).astype(np.float32), tau)
    assert np.array_equal(side.ravel() > 0.5, above)
    order = np.argsort(wanted)
    assert (np.diff(side.ravel()[order]) > -1e-6).all()  # the same vector, rescaled at its mean


def test_nothing_is_cut_if_all_patches_are_similar_or_none():
    assert not bipartition(np.ones((4, 5, 3), np.float32), tau=0.2).any()
    assert not bipartition(np.zeros((4, 5, 3), np.float32), tau=0.2).any()
    assert not bipartition(np.eye(9, dtype=np.float32).reshape(3, 3, 9), tau=0.2).any()
    assert not bipartition(np.eye(2, dtype=np.float32).reshape(1, 2, 2), tau=0.2).any()


def test_other_parts_are_mirrored_below_the_cut():
    side = np.array([[0.9, 0.1, 0.6, 1.0], [0.8, 0.2, 0.3, 0.7], [0.1, 0.6, 0.0, 0.2]])
    wanted = np.array([[0.1, 0.1, 0.6, 1.0], [0.2, 0.2, 0.3, 0.7], [0.1, 0.4, 0.0, 0.2]])
    assert np.allclose(main_part(side), wanted)
    assert not main_part(np.zeros((2, 2))).any()
