"""Points and attention from a cosine map."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipseg.methods.persam.location import attention_map, highest, locate
from ipseg.methods.persam.reference import Reference


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 6))
def test_the_highest_are_the_first_of_a_stable_order(values, k):
    scores = torch.tensor(values, dtype=torch.float32)
    order = np.argsort(-np.array(values), kind="stable")[:k]
    assert highest(scores, k).tolist() == order.tolist()


@pytest.mark.parametrize("name", ["cat", "cup"])
def test_points_are_the_ends_of_the_map_at_the_size_of_the_image(segmenter, embeddings, name):
    embedding = embeddings[name]
    target = np.random.default_rng(3).standard_normal(64).astype(np.float32)
    (found,) = locate(segmenter, embedding, [Reference(target)], topk=2, negative=True)
    height, width = embedding.frame.image
    finer = torch.nn.functional.interpolate(
        torch.from_numpy(found.cosines)[None, None], scale_factor=4, mode="bilinear"
    )[0]
    full = embedding.frame.enlarge(finer)[0].numpy()
    assert full.shape == (height, width)
    x, y = found.prompt.coords.astype(int).T
    ranked = np.sort(full.ravel())
    assert list(full[y, x]) == [ranked[-1], ranked[-2], ranked[0], ranked[1]]
    assert list(found.prompt.labels) == [1, 1, 0, 0]


def test_the_length_of_a_target_does_not_matter(segmenter, embeddings):
    target = np.random.default_rng(4).standard_normal(64).astype(np.float32)
    references = [Reference(target), Reference(8 * target)]
    one, other = locate(segmenter, embeddings["cat"], references, topk=1, negative=True)
    np.testing.assert_allclose(one.cosines, other.cosines, atol=1e-6)
    np.testing.assert_array_equal(one.prompt.coords, other.prompt.coords)


def test_attention_is_a_half_at_the_mean_and_for_a_map_without_ends():
    ramp = torch.linspace(-0.2, 0.9, 33).expand(21, 33)
    attention = attention_map(ramp, (4, 33))
    assert attention.shape == (4, 33)
    assert attention[0, 16] == pytest.approx(0.5, abs=1e-5)
    steps = attention[0].diff()
    assert (steps > 0).all()
    assert torch.equal(attention[0], attention[3])
    # With n - 1 in the deviation, the ends of a uniform ramp lie a little within sqrt(3).
    n = ramp.numel()
    deviation = np.linspace(-1, 1, 33).std() * np.sqrt(n / (n - 1))
    assert attention[0, -1].logit() == pytest.approx(1 / deviation, rel=1e-4)
    flat = attention_map(torch.full((5, 7), 0.3), (4, 4))
    assert (flat - 0.5).abs().max() < 0.01
