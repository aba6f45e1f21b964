"""The network in training: what moves, how fast, and the mistakes of the release."""

from dataclasses import replace

import pytest
import torch

from ipseg.errors import ConfigError, WeightsError
from ipseg.methods.sine.training.annotated import Annotated
from ipseg.methods.sine.training.layouts import prepared
from ipseg.methods.sine.training.learner import Learner, rate_factor
from ipseg.methods.sine.training.pairs import PairSource
from ipseg.methods.sine.training.settings import (
    Decoder,
    Losses,
    Optimisation,
    Pairs,
    Training,
)
from ipseg.methods.sine.training.team import Team
from ipseg.networks.models import Models
from ipseg.weights.architectures import SINE_FILE

ALONE = Team()


@pytest.fixture(scope="module")
def training(tiny_root):
    return Training(
        encoder="facebook/dinov2-small",
        decoder=Decoder(width=32, hidden=48, between=16, queries=10, layers=2),
        pairs=Pairs(side=70, smallest=0.8, largest=1.2),
        losses=Losses(points=256),
        optimisation=Optimisation(steps=60, warm_up=0, rate=1e-3, batch=2, accumulate=2),
        models=Models(root=str(tiny_root), device="cpu"),
    )


@pytest.fixture(scope="module")
def pairs(collections, training, tmp_path_factory):
    cache = tmp_path_factory.mktemp("tables")
    places = prepared(str(collections["mine"]), cache, 3.0, lambda line: None)
    return PairSource([Annotated(place) for place in places], training.pairs, 0)


def with_optimisation(training, **settings):
    return replace(training, optimisation=replace(training.optimisation, **settings))


def test_neck_and_decoder_learn_and_the_encoder_does_not(training, pairs):
    learner = Learner(training)
    encoder = {k: v.clone() for k, v in learner._encoder.state_dict().items()}
    assert not any(weights.requires_grad for weights in learner._encoder.parameters())
    before = learner.weights()
    learner.accumulate([pairs[0]], ALONE)
    still = [n for n, w in learner.network.named_parameters() if w.grad is None]
    assert not still
    learner.update(0, ALONE)
    after = learner.weights()
    moved = [name for name in after if not torch.equal(before[name], after[name])]
    assert any(name.startswith("image_encoder.neck.0") for name in moved)
    assert any("transformer_layers.1." in name for name in moved)
    assert all(torch.equal(v, learner._encoder.state_dict()[k]) for k, v in encoder.items())


def test_losses_of_one_pair_are_finite_and_fall(training, pairs):
    learner = Learner(training)
    seen = []
    for step in range(25):
        seen.append(float(learner.accumulate([pairs[0]], ALONE).sum()))
        learner.update(step, ALONE)
    assert torch.tensor(seen).isfinite().all()
    assert seen[-1] < 0.6 * seen[0]


def test_the_release_divides_by_the_accumulation_twice(training, pairs):
    """So the gradient is smaller, and fewer are clipped; Adam itself hardly notices."""
    lengths = {}
    for scale in ("once", "twice"):
        learner = Learner(with_optimisation(training, loss_scale=scale, clip=1e9))
        for number in (1, 2):
            learner.accumulate([pairs[number]], ALONE)
        lengths[scale] = learner.update(0, ALONE)[1]
    assert lengths["once"] == pytest.approx(2 * lengths["twice"], rel=1e-5)
    clip = 0.75 * lengths["once"]  # between the two
    clipped = {}
    for scale in ("once", "twice"):
        learner = Learner(with_optimisation(training, loss_scale=scale, clip=clip))
        for number in (1, 2):
            learner.accumulate([pairs[number]], ALONE)
        learner.update(0, ALONE)
        clipped[scale] = learner._optimiser.state_dict()["state"]
    sizes = {
        k: sum(float((s["exp_avg"] ** 2).sum()) for s in v.values()) for k, v in clipped.items()
    }
    assert sizes["once"] ** 0.5 == pytest.approx(0.1 * clip, rel=1e-3), "clipped"
    assert sizes["twice"] ** 0.5 == pytest.approx(0.1 * lengths["twice"], rel=1e-3), "not clipped"


def test_the_rate_grows_from_nothing_and_falls_to_nothing():
    settings = Optimisation(steps=1100, warm_up=100)
    factors = [rate_factor(step, settings) for step in (0, 50, 100, 600, 1099)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0.001])


def test_what_decays_and_what_does_not(training):
    learner = Learner(training)
    names = {id(weights): name for name, weights in learner.network.named_parameters()}
    decaying, kept = (
        {names[id(weights)] for weights in group["params"]}
        for group in learner._optimiser.param_groups
    )
    assert [g["weight_decay"] for g in learner._optimiser.param_groups] == [0.05, 0]
    assert {"transformer_decoder.temp", "image_encoder.neck.1.weight"} <= decaying
    assert {
        "transformer_decoder.decoder_norm.weight",
        "transformer_decoder.query_feat.weight",
    } <= kept
    assert len(decaying) + len(kept) == len(names)


def test_it_starts_from_released_weights(training, tiny_root):
    decoder = Decoder(width=32, hidden=64, between=16, queries=20, layers=6)
    learner = Learner(replace(training, decoder=decoder, start=SINE_FILE))
    given = torch.load(tiny_root / SINE_FILE, weights_only=True)
    assert all(torch.equal(tensor, given[name]) for name, tensor in learner.weights().items())
    assert all(weights.requires_grad for weights in learner.network.parameters())
    with pytest.raises(WeightsError, match=r"instead of"):
        Learner(replace(training, decoder=replace(decoder, width=64), start=SINE_FILE))


def test_a_canvas_is_of_whole_patches(training):
    with pytest.raises(ConfigError, match=r"pairs.side=70"):
        Learner(replace(training, pairs=Pairs(side=75)))
