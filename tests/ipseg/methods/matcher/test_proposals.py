"""Masks by the hundred, with a tiny SAM: the same as at full size, but never held so."""

import numpy as np
import pytest
import torch

from ipseg.methods.matcher.proposals import from_grid, from_points, stability, suppressed
from ipseg.methods.matcher.settings import Grid, Proposals
from ipseg.networks.models import Models
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import TOGETHER, tight_box
from ipseg.segmenters.segment_anything import SegmentAnything
from ipseg.segmenters.stream import streamed
from ipseg.vision.masks import decode_rle

SIDE, CELLS = 112, 8
GRID = (CELLS, CELLS)


@pytest.fixture(scope="module")
def segmenter(tiny_root):
    found = SegmentAnything(weights="sam_vit_b_01ec64.pth")
    found.setup(Models(root=str(tiny_root), device="cpu"))
    return found


@pytest.fixture(scope="module")
def embedding(segmenter, photos):
    return segmenter.encode([np.ascontiguousarray(photos["cup"][:SIDE, :SIDE])])[0]


@pytest.fixture(scope="module")
def prompts():
    random = np.random.default_rng(16)
    labels = np.ones(2, np.int8)
    return [
        PointPrompt(random.integers(0, SIDE, (2, 2)).astype(np.float32), labels)
        for _ in range(TOGETHER + 3)
    ]


@pytest.fixture(scope="module")
def plain(segmenter, embedding, prompts):
    """All candidates at full size."""
    found = segmenter.decode_many(embedding, prompts)
    masks = np.concatenate([each.masks for each in found])
    return masks, np.concatenate([each.predicted_iou for each in found])


def test_a_pool_is_what_was_decoded_mask_by_mask(segmenter, embedding, prompts, plain):
    masks, ious = plain
    pool = from_points(segmenter, embedding, [prompts], Proposals(multimask=True), GRID)
    np.testing.assert_array_equal([decode_rle(each) for each in pool.masks], masks)
    np.testing.assert_array_equal(pool.predicted_iou, ious)
    side = SIDE // CELLS
    cells = masks.reshape(-1, CELLS, side, CELLS, side).any(axis=(2, 4))
    np.testing.assert_array_equal(pool.cells, cells.reshape(len(masks), -1))
    middles = masks[:, side // 2 :: side, side // 2 :: side]
    np.testing.assert_array_equal(pool.centres, middles.reshape(len(masks), -1))
    boxes = [np.zeros(4) if (b := tight_box(mask)) is None else b for mask in masks]
    np.testing.assert_array_equal(pool.boxes, boxes)


def test_few_candidates_stand_in_memory_at_a_time(segmenter, embedding, prompts):
    sizes = [len(each.logits) for each in streamed(segmenter, embedding, prompts)]
    assert sizes == [3 * TOGETHER, 9]


def test_what_is_not_good_or_stable_enough_is_left_out(segmenter, embedding, prompts, plain):
    least = float(np.median(plain[1]))
    some = from_points(
        segmenter, embedding, [prompts], Proposals(multimask=True, least_iou=least), GRID
    )
    np.testing.assert_array_equal(some.predicted_iou, plain[1][plain[1] > least])
    steady = Proposals(multimask=True, least_stability=0.5)
    assert len(from_points(segmenter, embedding, [prompts], steady, GRID).masks) < len(plain[1])
    none = from_points(segmenter, embedding, [prompts], Proposals(least_stability=1.0), GRID)
    assert none.masks == []
    assert none.cells.shape == (0, CELLS**2)


def test_stability_is_the_share_that_two_thresholds_have_in_common():
    logits = torch.tensor([[[2.0, 0.5], [-0.5, -2.0]], [[2.0, 3.0], [-2.0, -3.0]]])
    assert stability(logits).tolist() == pytest.approx([1 / 3, 1])
    assert stability(torch.full((1, 2, 2), -5.0)).isnan().all()


def test_a_grid_asks_with_each_of_its_points(segmenter, embedding):
    everything = Grid(side=3, least_iou=0, least_stability=0)
    pool = from_grid(segmenter, embedding, everything, SIDE, GRID)
    third = SIDE / 3
    points = [((x + 0.5) * third, (y + 0.5) * third) for y in range(3) for x in range(3)]
    alone = [
        segmenter.decode(embedding, np.array([p], np.float32), np.ones(1, np.int8), multimask=False)
        for p in points
    ]
    np.testing.assert_array_equal([decode_rle(m) for m in pool.masks], [a.masks[0] for a in alone])


def test_of_masks_with_nearly_the_same_box_the_best_stays(segmenter, embedding, prompts):
    pool = from_points(segmenter, embedding, [prompts], Proposals(), GRID)
    everything = suppressed(pool, 1.0)
    assert sorted(everything.predicted_iou) == sorted(pool.predicted_iou)
    assert list(everything.predicted_iou) == sorted(pool.predicted_iou, reverse=True)
    fewer = suppressed(pool, 0.3)
    assert 0 < len(fewer.masks) < len(pool.masks)
    assert fewer.predicted_iou[0] == pool.predicted_iou.max()
