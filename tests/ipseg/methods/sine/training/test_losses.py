"""Losses against numbers by hand, and the mistakes of the release."""

import itertools
import math

import numpy as np
import pytest
import torch

from ipseg.methods.sine.mformer import Prediction
from ipseg.methods.sine.training.losses import Counts, Wanted, pair_losses
from ipseg.methods.sine.training.matching import matched, pairwise_bce, pairwise_dice
from ipseg.methods.sine.training.pairs import Pair
from ipseg.methods.sine.training.points import at_own, uncertain_points
from ipseg.methods.sine.training.scenes import View
from ipseg.methods.sine.training.settings import Losses

# No uncertain points, so that all are the ones of the generator.
ANYWHERE = Losses(points=40, uncertain=0)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def predicted(logits, queries, features):
    return Prediction(torch.tensor(logits), torch.tensor(queries), features)


def cross_entropy(logits, right):
    return math.log(sum(math.exp(value) for value in logits)) - logits[right]


def bilinear(grid, x, y):
    """By hand: values are at the centres of cells, outside is zero."""
    height, width = grid.shape
    total = 0.0
    x, y = x * width - 0.5, y * height - 0.5
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                weight = (1 - abs(x - column)) * (1 - abs(y - row))
                total += weight * float(grid[row, column])
    return total


def mask_losses_by_hand(logits, truth, points):
    bce, inside, area, overlap = 0.0, 0.0, 0.0, 0.0
    for x, y in points.tolist():
        logit, true = bilinear(logits, x, y), bilinear(truth, x, y)
        share = 1 / (1 + math.exp(-logit))
        bce -= true * math.log(share) + (1 - true) * math.log(1 - share)
        inside, area, overlap = inside + share, area + true, overlap + share * true
    return bce / len(points), 1 - (2 * overlap + 1) / (inside + area + 1)


def test_one_instance_and_one_identity_by_hand():
    features = torch.randn(2, 3, 3, generator=random(5))
    truth = torch.zeros(1, 6, 6)
    truth[0, 1:4, 2:6] = 1
    instances = predicted([[1.5, 0.5], [0.2, 0.9]], [[0.7, 0.1], [-1.0, 0.3]], features)
    identities = predicted([[0.4, -0.3]], [[1.2, -0.5]], features)
    wanted = Wanted(torch.tensor([0]), truth, torch.tensor([0]))
    counts = Counts.of([wanted], 2, ANYWHERE)
    assert (counts.pairs, counts.presence, counts.masks) == (1, 1, 2)
    found = pair_losses([(identities, instances)], wanted, counts, ANYWHERE, random())

    same = random()  # what the losses have drawn
    shared = torch.rand(40, 2, generator=same)
    (token,), _ = matched(instances, wanted.columns, truth, shared, ANYWHERE)
    torch.rand(2, 120, 2, generator=same)
    points = torch.rand(2, 40, 2, generator=same)
    masks = [instances.masks(slice(token, token + 1))[0], identities.masks(slice(0, 1))[0]]
    by_hand = [mask_losses_by_hand(m, truth[0], p) for m, p in zip(masks, points, strict=True)]
    columns = [0 if number == token else 1 for number in (0, 1)]
    weights = [1 if column == 0 else 0.1 for column in columns]
    of_classes = sum(
        weight * cross_entropy(logits, column)
        for weight, logits, column in zip(weights, instances.logits.tolist(), columns, strict=True)
    ) / sum(weights)
    assert float(found.classes) == pytest.approx(2 * of_classes, abs=1e-5)
    assert float(found.presence) == pytest.approx(2 * cross_entropy([0.4, -0.3], 0), abs=1e-5)
    assert float(found.bce) == pytest.approx(5 * sum(bce for bce, _ in by_hand) / 2, abs=1e-5)
    assert float(found.dice) == pytest.approx(5 * sum(dice for _, dice in by_hand) / 2, abs=1e-5)
    assert float(found.total) == pytest.approx(
        float(found.classes + found.presence + found.bce + found.dice)
    )


def test_an_absent_identity_counts_a_tenth_and_has_no_mask():
    features = torch.ones(1, 2, 2)
    instances = predicted([[0.5, 0.1]], [[1.0]], features)
    identities = predicted([[0.4, -0.3], [0.2, 0.7]], [[1.0], [1.0]], features)
    wanted = Wanted(torch.tensor([0]), torch.ones(1, 4, 4), torch.tensor([0, -1]))
    counts = Counts.of([wanted], 1, ANYWHERE)
    assert (counts.presence, counts.masks) == (1.1, 2)
    found = pair_losses([(identities, instances)], wanted, counts, ANYWHERE, random())
    by_hand = (cross_entropy([0.4, -0.3], 0) + 0.1 * cross_entropy([0.2, 0.7], 1)) / 1.1
    assert float(found.presence) == pytest.approx(2 * by_hand, abs=1e-5)


def test_the_assignment_is_the_cheapest_of_all():
    settings = Losses(points=200)
    source = random(1)
    queries, features = torch.randn(5, 4, generator=source), torch.randn(4, 6, 6, generator=source)
    instances = Prediction(torch.randn(5, 4, generator=source), queries, features)
    masks = (torch.rand(3, 12, 12, generator=source) > 0.5).float()
    classes = torch.tensor([0, 2, 2])
    points = torch.rand(200, 2, generator=source)
    probabilities = instances.logits.softmax(dim=1)
    shared = points.expand(5, -1, -1)
    sampled = at_own(instances.masks(slice(None)), shared)
    truth = at_own(masks, points.expand(3, -1, -1))
    cost = np.zeros((5, 3))
    for token, thing in itertools.product(range(5), range(3)):
        bce = torch.nn.functional.binary_cross_entropy_with_logits(sampled[token], truth[thing])
        share = sampled[token].sigmoid()
        dice = 1 - (2 * (share * truth[thing]).sum() + 1) / (share.sum() + truth[thing].sum() + 1)
        cost[token, thing] = 5 * bce + 5 * dice - 2 * probabilities[token, classes[thing]]
    best = min(
        itertools.permutations(range(5), 3),
        key=lambda tokens: sum(cost[token, thing] for thing, token in enumerate(tokens)),
    )
    tokens, things = matched(instances, classes, masks, points, settings)
    assert {
        thing: token for token, thing in zip(tokens.tolist(), things.tolist(), strict=True)
    } == (dict(enumerate(best)))
    pairs = 5 * pairwise_bce(sampled, truth) + 5 * pairwise_dice(sampled, truth)
    np.testing.assert_allclose(pairs - 2 * probabilities[:, classes], cost, atol=1e-4)


def test_more_objects_than_tokens_are_left_over():
    instances = predicted([[0.1, 0.2]], [[1.0]], torch.ones(1, 2, 2))
    wanted = Wanted(torch.tensor([0, 0]), torch.ones(2, 4, 4), torch.tensor([1]))
    assert Counts.of([wanted], 1, ANYWHERE).masks == 2
    found = pair_losses(
        [(predicted([[0.3, 0.1]], [[1.0]], torch.ones(1, 2, 2)), instances)],
        *(wanted, Counts.of([wanted], 1, ANYWHERE), ANYWHERE, random()),
    )
    assert torch.isfinite(found.total)


def test_points_are_mostly_where_a_mask_is_uncertain():
    logits = torch.linspace(-8, 8, 40).expand(1, 40, 40)
    points = uncertain_points(logits, Losses(points=400), random())
    assert points.shape == (1, 400, 2)
    near = (points[0, :, 0] - 0.5).abs() < 0.13
    assert near[:300].float().mean() > 0.8, "the least certain of 1,200"
    assert near[300:].float().mean() < 0.45, "the rest is anywhere"


@pytest.mark.parametrize(("rule", "other_image"), [("same_image", -1), ("equal_ids", 0)])
def test_equal_ids_of_two_images_are_one_object_in_the_release_alone(rule, other_image):
    def view():
        return View(
            torch.zeros(3, 4, 4), torch.ones(1, 4, 4) > 0, *torch.tensor([[[7000]], [[7]]])[:, 0]
        )

    settings = Losses(id_pairs=rule)
    for same_image, expected in ((True, 0), (False, other_image)):
        pair = Pair(0, view(), view(), same_image)
        assert Wanted.of(pair, settings, torch.device("cpu")).same.tolist() == [expected]
