"""The network and its answers, against a restatement in NumPy of the whole of it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ipseg.methods.sine.answers import class_scores, identities, instances
from ipseg.methods.sine.architecture import RELEASED
from ipseg.methods.sine.canvas import View
from ipseg.methods.sine.mformer import Target
from ipseg.methods.sine.pooling import Pooled, pool

SIZE = (70, 85)
TARGETS = ("square", "wide", "tall")


@pytest.fixture(scope="module")
def pooled(golden):
    """Reference -> what is kept of it."""
    return {
        name: pool(
            torch.from_numpy(golden.features(f"reference {name}")), torch.from_numpy(mask)[None]
        )
        for name, mask in golden.reference_masks().items()
    }


@pytest.fixture(scope="module")
def references(pooled):
    """Identities of three objects, of two classes."""
    ids = torch.cat([each.each for each in pooled.values()])
    both = Pooled.of([pooled["a"], pooled["b"]]).together
    return ids, torch.stack([both, pooled["c"].together])


@pytest.fixture(params=TARGETS)
def at(request):
    return request.param


@pytest.fixture
def target(golden, network, at) -> Target:
    return network.transformer_decoder.target(torch.from_numpy(golden.features(at)))


@pytest.fixture
def view(golden, at):
    rows, columns = (golden.PATCH * n for n in golden.TARGETS[at])
    return View((rows, columns), (rows - 11, columns - 5))


def close(found, expected, atol):
    np.testing.assert_allclose(np.asarray(found), expected, atol=atol, rtol=0)


def test_the_neck(golden, network, numbers):
    cells = golden.random("tokens", *golden.GRID, golden.SIZES.encoder).astype(np.float32)
    found = network.image_encoder.neck(torch.from_numpy(cells).permute(2, 0, 1)[None])
    close(found[0].permute(1, 2, 0), numbers["neck"], 2e-5)


def test_pooling_of_one_object_and_of_several(pooled, numbers):
    for name, each in pooled.items():
        close(each.each[0], numbers[f"pooled.{name}"], 2e-6)
        close(each.together, numbers[f"pooled.{name}"], 2e-6)
    both = Pooled.of([pooled["a"], pooled["b"]])
    close(both.together, numbers["together"], 2e-6)
    mean = both.each.mean(dim=0)
    assert (both.together - mean).abs().max() > 0.01, "the larger object counts more"


def test_fusion_and_what_enters_the_decoder(network, numbers, references, target, at):
    mformer = network.transformer_decoder
    ids, classes = references
    fused, image = mformer.fuse(torch.cat([ids, classes]), target)
    close(image, numbers[f"{at}.fused"], 2e-5)
    identity = mformer.identity_queries(fused[: len(ids)], image, target)
    instance = mformer.instance_queries(fused[len(ids) :])
    close(identity.places, numbers[f"{at}.places"], 1e-5)
    close(instance.tokens[instance.masked :], numbers[f"{at}.semantic"], 2e-5)
    blocked = torch.cat(
        [mformer.blocked(q.tokens[: q.masked], target) for q in (identity, instance)]
    ).numpy()
    expected = np.unpackbits(numbers[f"{at}.blocked"], count=blocked.size) > 0
    np.testing.assert_array_equal(blocked, expected.reshape(blocked.shape))
    assert 0.2 < blocked.mean() < 0.8


def test_a_task_pays_for_its_own_path_with_the_results_of_the_whole(
    golden, network, numbers, references, target, at
):
    ids, classes = references
    mformer = network.transformer_decoder
    found = mformer.classify(target, ids, classes)
    close(found.logits, numbers[f"{at}.logits"], 1e-4)
    masks = found.masks(slice(None))
    close(masks[:, :: golden.STEP, :: golden.STEP], numbers[f"{at}.masks"], 1e-4)
    same = mformer.identify(target, ids)
    close(same.logits, numbers[f"{at}.id_logits"], 2e-5)
    masks = same.masks(slice(None))
    close(masks[:, :: golden.STEP, :: golden.STEP], numbers[f"{at}.id_masks"], 1e-4)


def test_the_paths_are_those_of_the_whole_to_a_hundred_thousandth(
    golden, network, numbers, pooled, references, at
):
    """In double precision: what is left is how the golden numbers are stored."""
    mformer = copy.deepcopy(network.transformer_decoder).double()
    target = mformer.target(torch.from_numpy(golden.features(at)).double())
    target = replace(target, code=target.code.double())
    ids, classes = (each.double() for each in references)
    for found, name in (
        (mformer.classify(target, ids, classes).logits, "logits"),
        (mformer.identify(target, ids).logits, "id_logits"),
    ):
        expected = numbers[f"{at}.{name}"]
        assert np.abs(found.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


def test_videos_make_no_masks_of_instances(network, references, target):
    """Two objects: at the released 200 queries more than 90 % of all masks."""
    mformer = network.transformer_decoder
    made = []
    hook = mformer.mask_embed.register_forward_hook(lambda _, given, out: made.append(len(out)))
    prediction = mformer.identify(target, references[0][:2])
    hook.remove()
    assert made == [2, 2], "where tokens look, and what is found"
    assert len(prediction.masks(slice(None))) == 2
    assert 1 - sum(made) / (2 * (2 + RELEASED.queries)) > 0.9


def test_semantic_answer(golden, network, numbers, references, target, at, view):
    prediction = network.transformer_decoder.classify(target, *references)
    found = class_scores(prediction, view, SIZE)
    assert tuple(found.shape[1:]) == SIZE
    close(
        found[:, :: golden.STEP, :: golden.STEP],
        numbers[f"{at}.class_scores"],
        1e-4,
    )
    assert found.max() > 1, "the sum is no probability"


def test_instances_are_the_most_probable_pairs(network, numbers, references, target, at, view):
    ids, classes = references
    prediction = network.transformer_decoder.classify(target, ids[:0], classes)
    probabilities = prediction.logits.softmax(dim=1)[:, :-1].flatten().numpy()
    order = np.argsort(-probabilities)
    scores = numbers[f"{at}.instance_scores"].flatten()
    areas = np.repeat(numbers[f"{at}.instance_areas"], len(classes))
    for limit in (5, 1000):
        found = list(instances(prediction, view, SIZE, limit))
        assert len(found) == min(limit, len(scores))
        close([each.score for each in found], scores[order[:limit]], 1e-5)
        assert [each.number for each in found] == list(order[:limit] % len(classes))
        drift = [int(each.mask.sum()) for each in found] - areas[order[:limit]]
        assert np.abs(drift).max() <= 2


def test_identities(network, numbers, references, target, at, view):
    prediction = network.transformer_decoder.identify(target, references[0])
    found = list(identities(prediction, view, SIZE))
    assert [each.number for each in found] == [0, 1, 2]
    close([each.score for each in found], numbers[f"{at}.id_scores"], 1e-5)
    drift = [int(each.mask.sum()) for each in found] - numbers[f"{at}.id_areas"]
    assert np.abs(drift).max() <= 2


def test_a_mask_that_is_decided_before_each_layer_is_another_network(network, references, target):
    mformer = network.transformer_decoder
    frozen, fresh = (
        mformer.classify(target, *references, mask).logits for mask in ("frozen", "each_layer")
    )
    assert (frozen - fresh).abs().max() > 0.01


def test_a_token_without_a_mask_may_look_everywhere(network, target):
    mformer = network.transformer_decoder
    tokens = mformer.query_feat.weight[:1]
    along = mformer.mask_embed(mformer.decoder_norm(tokens))[0][:, None, None]
    rows, columns = target.mask_features.shape[1:]
    side = torch.ones(rows, columns)
    side[:, : columns // 8 * 4] = -1  # whole cells
    for mask, expected in (
        (side, side[::4, ::4].flatten() < 0),
        (-torch.ones_like(side), torch.zeros(rows * columns // 16, dtype=torch.bool)),
        (torch.ones_like(side), torch.zeros(rows * columns // 16, dtype=torch.bool)),
    ):
        blocked = mformer.blocked(tokens, replace(target, mask_features=along * mask))
        assert torch.equal(blocked[0], expected)
