import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.errors import PromptError
from ipseg.features.pooling import prompt_embedding, prompt_weights, weighted_mean
from ipseg.features.similarity import cosine_similarity, standardise, unit
from ipseg.methods.ipseg.matching import Matching
from ipseg.vision.letterbox import mask_on_cells

finite = st.floats(-100, 100, width=32)
masks = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(0, 1, width=32),
)


def squares(*sides):
    """A mask (120, 120), two pixels a cell of 60, with one square of each number of cells."""
    mask = np.zeros((120, 120), np.float32)
    for number, side in enumerate(sides):
        mask[20:, 20 + 40 * number :][: 2 * side, : 2 * side] = 1
    return mask


@given(masks, st.integers(1, 9), st.booleans(), st.sampled_from(["hard", "soft"]))
def test_a_prompt_always_keeps_a_cell(mask, cells, erosion, pooling):
    if not mask.any():
        with pytest.raises(PromptError, match="empty"):
            prompt_weights(mask, cells, erosion=erosion, pooling=pooling)
        return
    weights = prompt_weights(mask, cells, erosion=erosion, pooling=pooling)
    assert weights.shape == (cells, cells)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    assert 0 < weights.max() <= 1
    sampled = mask_on_cells(mask, cells)
    if (sampled > 0.5).any():
        # An object that is there is never joined by what is none.
        kept = weights > 0.5 if pooling == "soft" else weights > 0
        assert (sampled[kept] > 0.5).all()


def test_erosion_takes_the_ring_but_not_the_border_of_the_picture():
    mask = np.zeros((6, 6), np.float32)
    mask[:4, :4] = 1
    expected = np.zeros((6, 6), np.float32)
    expected[:3, :3] = 1
    assert np.array_equal(prompt_weights(mask, 6), expected)
    soft = prompt_weights(mask * 0.8, 6, pooling="soft")
    assert np.array_equal(soft, expected * np.float32(0.8))


def test_less_is_done_to_a_mask_of_which_nothing_would_be_left():
    assert prompt_weights(squares(3)).sum() == 1

    thin = squares(2, 2)
    assert prompt_weights(thin).sum() == 2 * 4
    assert prompt_weights(thin, erosion=False).sum() == 2 * 4

    unsure = 0.4 * squares(9)
    assert np.allclose(prompt_weights(unsure), mask_on_cells(unsure, 60))

    speck = np.zeros((120, 120), np.float32)
    speck[31, 51] = 1  # between the pixels that the grid samples
    for pooling in ("hard", "soft"):
        weights = prompt_weights(speck, pooling=pooling)
        assert np.argwhere(weights).tolist() == [[15, 25]]


@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=finite),
    hnp.arrays(np.float32, (2, 5), elements=finite),
)
def test_cosine_is_bounded_and_equals_the_definition(features, embeddings):
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = embeddings / np.where(lengths > 1e-3, lengths, np.float32(np.inf))
    scores = cosine_similarity(features, units)
    assert scores.shape == (2, 3, 4)
    assert np.abs(scores).max() <= 1 + 1e-5
    for p, row, column in np.ndindex(2, 3, 4):
        cell = features[row, column].astype(np.float64)
        length = np.linalg.norm(cell)
        if length > 1e-3:
            assert abs(scores[p, row, column] - cell @ units[p] / length) < 1e-4


def test_the_prompt_is_most_similar_to_itself():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(8, 8, 16)).astype(np.float32)
    features[2:5, 2:5] += 3
    cells = np.zeros((8, 8), bool)
    cells[2:5, 2:5] = True
    embedding = prompt_embedding(features, cells.astype(np.float32))
    expected = features[cells].mean(axis=0)
    assert np.allclose(embedding, expected / np.linalg.norm(expected), atol=1e-6)
    assert abs(np.linalg.norm(embedding) - 1) < 1e-6
    scores = cosine_similarity(features, embedding[None])[0]
    assert scores[cells].min() > scores[~cells].max()


@given(
    hnp.arrays(np.float32, (4, 5, 6), elements=finite),
    hnp.arrays(np.float32, (4, 5), elements=st.floats(0.125, 1, width=32)),
)
def test_torch_and_numpy_agree(features, weights):
    for formula in (prompt_embedding, weighted_mean):
        ours = formula(features, weights)
        theirs = formula(torch.from_numpy(features), torch.from_numpy(weights))
        assert ours.dtype == np.float32
        assert theirs.dtype == torch.float32
        if formula is weighted_mean or np.linalg.norm(weighted_mean(features, weights)) > 1e-2:
            assert np.allclose(ours, theirs.numpy(), atol=1e-3 * max(1, np.abs(ours).max()))
    embeddings = unit(features[0])
    ours = cosine_similarity(features, embeddings)
    theirs = cosine_similarity(torch.from_numpy(features), torch.from_numpy(embeddings))
    assert ours.dtype == np.float32
    assert np.allclose(ours, theirs.numpy(), atol=1e-5)


def test_a_blank_cell_is_like_nothing():
    features = np.zeros((2, 2, 3), np.float32)
    features[0, 0] = 1
    embedding = prompt_embedding(features, np.ones((2, 2), np.float32))
    assert np.allclose(cosine_similarity(features, embedding[None]), [[[1, 0], [0, 0]]])


def test_fusion_is_a_weighted_sum_and_saliency_counts_for_every_concept():
    maps = [np.ones((2, 3, 4), np.float32), np.full((2, 3, 4), 2, np.float32)]
    assert np.array_equal(Matching().fuse(maps, [0.5, 2], None), np.full((2, 3, 4), 4.5))
    saliency = np.zeros((30, 40), np.float32)
    saliency[:10] = 1
    fused = Matching(saliency_weight=1).fuse([np.zeros((2, 3, 4), np.float32)], [1], saliency)
    assert np.allclose(fused[0], standardise(np.repeat([[1], [0], [0]], 4, 1).astype(np.float32)))
    assert np.array_equal(fused[0], fused[1])


@given(hnp.arrays(np.float32, (4, 5), elements=finite))
def test_standardised_maps_have_no_nan(scores):
    result = standardise(scores)
    assert np.isfinite(result).all()
    assert abs(float(result.mean())) < 1e-2
