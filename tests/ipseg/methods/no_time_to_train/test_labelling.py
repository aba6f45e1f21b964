"""Labels of masks, beside loops over what the published method says."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ipseg.methods.no_time_to_train.labelling import (
    Labelling,
    covered,
    enlarged,
    label,
    mask_features,
)
from ipseg.methods.no_time_to_train.proposals import Proposals

SIZE = (64, 64)


def disc(y, x, radius):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.float32(radius) - np.hypot(rows - y, columns - x).astype(np.float32)


def proposals(*logits, ious=None):
    ious = torch.linspace(0.9, 0.5, len(logits)) if ious is None else torch.tensor(ious)
    return Proposals(torch.zeros(len(logits), 2), ious, torch.from_numpy(np.stack(logits)))


@pytest.fixture(scope="module")
def tokens():
    """Two things on two sides of an image."""
    cells = torch.zeros(4, 8, 8)
    cells[0, :, :4] = 1
    cells[1, :, 4:] = 1
    return cells + 0.05 * torch.randn(cells.shape, generator=torch.Generator().manual_seed(0))


def test_features_are_means_of_enlarged_tokens(tokens):
    masks = torch.from_numpy(np.stack([disc(20, 15, 9), disc(40, 44, 20)])) > 0
    large = functional.interpolate(tokens[None], SIZE, mode="bilinear", antialias=True)[0]
    expected = [functional.normalize(large[:, mask].mean(dim=1), dim=0) for mask in masks]
    torch.testing.assert_close(mask_features(tokens, masks), torch.stack(expected))


def test_a_mask_is_of_the_concept_that_it_is_most_like(tokens):
    found = label(
        proposals(disc(20, 10, 6), disc(40, 50, 6)), tokens, torch.eye(4)[:2], SIZE, Labelling()
    )
    assert sorted(found.concept.tolist()) == [0, 1]
    assert (found.score > 0.9).all()


def test_the_better_mask_of_two_in_the_same_box_stays(tokens):
    logits = disc(20, 10, 6), disc(20, 11, 6), disc(50, 10, 6)
    given = proposals(*logits, ious=[0.6, 0.8, 0.5])
    found = label(given, tokens, torch.eye(4)[:1], SIZE, Labelling())
    assert sorted(found.proposals.predicted_iou.tolist()) == pytest.approx([0.5, 0.8])
    assert len(label(given, tokens, torch.eye(4)[:1], SIZE, Labelling(nms=1)).score) == 3


def test_a_part_of_a_better_mask_falls_behind(tokens):
    whole, part, other = disc(30, 14, 13), disc(26, 14, 4), disc(56, 10, 4)
    found = label(proposals(whole, part, other), tokens, torch.eye(4)[:1], SIZE, Labelling())
    assert found.overlap.tolist() == pytest.approx([0, 0, 1], abs=0.02)
    assert found.score[1] > 0.9
    assert found.score[2] < 0.2
    least = label(
        proposals(whole, part, other), tokens, torch.eye(4)[:1], SIZE, Labelling(min_score=0.5)
    )
    assert len(least.score) == 2


def test_only_masks_of_the_same_concept_are_compared(tokens):
    """What is inside of another thing is no part of it."""
    both = tokens.clone()
    both[:, 2:4, 1:3] = torch.tensor([0.0, 1, 0, 0])[:, None, None]
    found = label(
        proposals(disc(30, 14, 20), disc(24, 16, 4)), both, torch.eye(4)[:2], SIZE, Labelling()
    )
    assert sorted(found.concept.tolist()) == [0, 1]
    assert found.overlap.tolist() == [0, 0]


def test_the_limits(tokens):
    masks = [disc(8 * n + 6, 10, 3) for n in range(7)]
    for settings, left in ((Labelling(candidates=5), 5), (Labelling(limit=2), 2)):
        assert len(label(proposals(*masks), tokens, torch.eye(4)[:1], SIZE, settings).score) == left


def test_what_is_unlike_every_concept_is_left_out(tokens):
    found = label(proposals(disc(20, 10, 6)), tokens, -torch.eye(4)[:1], SIZE, Labelling())
    assert len(found.score) == 0


@pytest.mark.parametrize("shape", [(90, 60), (3000, 2000)])
def test_covered_is_the_share_in_an_earlier_mask(shape):
    logits = torch.from_numpy(np.stack([disc(30, 30, 20), disc(30, 45, 12), disc(33, 30, 6)]))
    features = functional.normalize(torch.tensor([[1.0, 0], [1, 1], [1, 0.2]]), dim=1)
    masks = [enlarged(each, shape) for each in logits]
    expected = [0.0]
    for i in (1, 2):
        shares = [
            float((masks[i] & masks[j]).sum() / masks[i].sum() * (features[i] @ features[j]))
            for j in range(i)
        ]
        expected.append(max(shares))
    assert covered(logits, features, shape).tolist() == pytest.approx(expected, abs=5e-3)
