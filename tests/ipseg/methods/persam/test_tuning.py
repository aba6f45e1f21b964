"""The two numbers that PerSAM-F learns."""

import pytest
import torch

from ipseg.methods.persam.tuning import dice_loss, tune


@pytest.fixture(scope="module")
def truth():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[4:14, 6:20] = True
    return mask


def candidate(mask):
    return torch.where(mask, 4.0, -4.0)


def test_no_step_leaves_all_candidates_alike(truth):
    logits = torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(0))
    assert tune(logits, truth, 0, 1e-3) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_candidate_that_is_right_gets_most(truth, place):
    wrong = [torch.zeros_like(truth), ~truth]
    wrong.insert(place, truth)
    weights = tune(torch.stack([candidate(mask) for mask in wrong]), truth, 300, 1e-3)
    assert weights.argmax() == place
    assert weights[place] > 0.4
    assert weights.sum() == pytest.approx(1)


def test_the_learned_two_can_be_swapped(truth):
    logits = torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(1))
    weights = tune(logits, truth, 100, 1e-3)
    swapped = tune(logits[[0, 2, 1]], truth, 100, 1e-3)
    assert swapped == pytest.approx(weights[[0, 2, 1]], abs=1e-6)
    assert abs(weights[1] - weights[2]) > 1e-3


def test_a_step_is_no_longer_than_the_rate_which_falls_to_nothing(truth):
    # As AdamW has it where the gradient keeps its sign; half of the rate on average.
    logits = torch.stack([candidate(mask) for mask in (~truth, truth, ~truth)])
    weights = tune(logits, truth, 200, 1e-4)
    assert 1 / 3 + 0.4 * 200e-4 < weights[1] < 1 / 3 + 0.52 * 200e-4


def test_dice_loss_is_smoothed(truth):
    flat = truth.flatten().float()
    sure = 100 * (2 * flat - 1)
    area = flat.sum()
    assert dice_loss(sure, flat) == pytest.approx(0, abs=1e-6)
    assert dice_loss(-sure, flat) == pytest.approx(float(1 - 1 / (len(flat) + 1)))
    half = torch.zeros_like(flat)
    assert dice_loss(half, flat) == pytest.approx(
        float(1 - (area + 1) / (len(flat) / 2 + area + 1))
    )
