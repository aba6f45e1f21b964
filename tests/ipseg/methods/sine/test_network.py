"""Loading: files with DINOv2 in them and without, and what is refused."""

import hashlib
from functools import reduce

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from ipseg.errors import ConfigError, WeightsError
from ipseg.methods.sine.architecture import ENCODER, RELEASED, Sizes, on_meta, recognise
from ipseg.methods.sine.canvas import Canvas
from ipseg.methods.sine.network import SineNetwork
from ipseg.networks.checkpoint import load_strict
from ipseg.networks.models import Models
from ipseg.weights.architectures import SINE_FILE
from ipseg.weights.tiny import random_state

CANVAS = Canvas(112)


@pytest.fixture(scope="module")
def trained(tiny_root):
    return torch.load(tiny_root / SINE_FILE, weights_only=True)


def released_names(state):
    """Tensors of transformers' DINOv2 by the names of the release."""
    found = {}
    for name, tensor in state.items():
        old = reduce(lambda whole, pair: whole.replace(*pair), NAMES.items(), name)
        found[old] = tensor
    for block in (0, 1):
        for kind in ("weight", "bias"):
            parts = [found.pop(f"blocks.{block}.attention.{p}_proj.{kind}") for p in "qkv"]
            found[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return found


NAMES = {
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.": "",
    "encoder.layer.": "blocks.",
    "attention.o_proj": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "layernorm": "norm",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DINOv2 with heads of 64 channels, as all released ones have them."""
    config = Dinov2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=1, image_size=518, patch_size=14
    )
    network = Dinov2Model(config)
    network.load_state_dict(random_state(network, "dinov2"))
    network.save_pretrained(root := tmp_path_factory.mktemp("dinov2"))
    return root


@pytest.fixture(scope="module")
def dinov2(folder):
    return released_names(Dinov2Model.from_pretrained(folder).state_dict())


@pytest.fixture(scope="module")
def fitting(trained):
    """A SINE for this DINOv2."""
    kernel = torch.randn(32, 64, 1, 1, generator=torch.Generator().manual_seed(0)) / 8
    return {**trained, "image_encoder.neck.0.weight": kernel}


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (66, 42, 3))]


def ready(tiny_root, **settings):
    network = SineNetwork(**settings)
    network.setup(Models(root=str(tiny_root), device="cpu"))
    return network


@pytest.fixture
def saved(tmp_path):
    def save(state, name="sine.pth"):
        torch.save(state, tmp_path / name)
        return str(tmp_path / name)

    return save


def test_the_release_has_190_trained_tensors(trained):
    state = on_meta(RELEASED).state_dict()
    assert len(state) == len(trained) == 190
    assert sum(name.startswith("image_encoder.neck.") for name in state) == 6
    assert state["transformer_decoder.temp"].shape == ()
    assert state["transformer_decoder.query_feat.weight"].shape == (200, 256)
    assert state["transformer_decoder.mask_feat_layer.0.weight"].shape == (256, 128, 2, 2)


def test_names_and_shapes_are_those_of_the_release():
    """The hash of its key list, without DINOv2 and `criterion.empty_weight`."""
    shapes = {name: tuple(each.shape) for name, each in on_meta(RELEASED).state_dict().items()}
    lines = "\n".join(f"{name}\t{shape}" for name, shape in sorted(shapes.items()))
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == "f5a485662a8c3e6e"


def test_with_dinov2_in_the_file_and_without(folder, fitting, dinov2, images, saved, tiny_root):
    inside = {ENCODER + name: tensor for name, tensor in dinov2.items()}
    criterion = {"criterion.empty_weight": torch.ones(2)}
    without = saved(fitting)
    ways = [
        {"weights": saved({**fitting, **inside, **criterion}, "whole.pth"), "encoder": "nowhere"},
        {"weights": without, "encoder": saved(dinov2, "dinov2.pth")},
        {"weights": without, "encoder": str(folder)},
    ]
    found = [ready(tiny_root, **way).encode(images, CANVAS) for way in ways]
    for one, *others in zip(*found, strict=True):
        assert one.features.std() > 0.1
        assert all(torch.equal(one.features, other.features) for other in others)


def test_features_are_those_of_the_last_block_before_the_norm(tiny_root, images):
    network = ready(tiny_root)
    seen = []
    last = network._encoder.encoder.layer[-1]
    hook = last.register_forward_hook(lambda module, given, out: seen.append(out))
    (encoded,) = network.encode(images[:1], CANVAS)
    hook.remove()
    tokens = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    cells = tokens.reshape(-1, tokens.shape[-1])[1:].T.reshape(1, -1, 8, 8)
    expected = network._trained.image_encoder.neck(cells)[0]
    torch.testing.assert_close(encoded.features, expected, atol=1e-6, rtol=0)


def test_every_missing_or_misshapen_tensor_is_refused_by_name():
    sizes = Sizes(encoder=24, width=32, hidden=48, between=16, queries=20, layers=1)
    whole = random_state(on_meta(sizes), "sine")

    def load(state):
        load_strict(on_meta(recognise(state, 1, 24, "sine.pth")), state, "sine.pth")

    load(whole)
    for name, tensor in whole.items():
        with pytest.raises(WeightsError, match="missing") as error:
            load({k: v for k, v in whole.items() if k != name})
        assert name in str(error.value)
        for length in (-1, 1):
            rows = tensor.shape[0] + length if tensor.dim() else 1
            other = torch.zeros(rows, *tensor.shape[1:])
            with pytest.raises(WeightsError, match="instead of") as error:
                load({**whole, name: other})
            shapes = f"{tuple(other.shape)} instead of {tuple(tensor.shape)}"
            assert f"{name} {shapes}" in str(error.value)


def test_what_is_not_of_a_sine_is_refused(tiny_root, trained, dinov2, saved):
    with pytest.raises(WeightsError, match=r"1 not of this model \(transformer_decoder.more"):
        ready(tiny_root, weights=saved({**trained, "transformer_decoder.more": torch.ones(1)}))
    with pytest.raises(WeightsError, match="is not of SINE: it has no"):
        ready(tiny_root, weights=saved(dinov2))
    with pytest.raises(WeightsError, match=r"other\.pth has no DINOv2"):
        ready(tiny_root, encoder=saved(trained, "other.pth"))
    with pytest.raises(
        WeightsError, match=r"has no DINOv2 in it, and: .*'nobody/nothing' not found"
    ):
        ready(tiny_root, encoder="nobody/nothing")


def test_a_file_without_a_layer_is_no_smaller_network(tiny_root, trained, saved):
    fewer = {k: v for k, v in trained.items() if ".transformer_layers.5." not in k}
    with pytest.raises(
        WeightsError, match=r"24 missing \(transformer_decoder.transformer_layers.5"
    ):
        ready(tiny_root, weights=saved(fewer))
    assert len(ready(tiny_root, weights=saved(fewer), layers=5).mformer.transformer_layers) == 5


def test_a_part_of_dinov2_in_the_file_is_refused_by_name(tiny_root, trained, dinov2, saved):
    inside = {ENCODER + name: tensor for name, tensor in dinov2.items()}
    del inside[f"{ENCODER}blocks.1.ls2.gamma"]
    with pytest.raises(WeightsError, match=r"1 missing \(encoder.layer.1.layer_scale2.lambda1\)"):
        ready(tiny_root, weights=saved({**trained, **inside}))


def test_a_dinov2_of_another_width_is_refused(tiny_root, folder):
    with pytest.raises(WeightsError, match=r"neck.0.weight .* instead of \(32, 64, 1, 1\)"):
        ready(tiny_root, encoder=str(folder))


def test_a_file_with_code_in_it_is_not_run(tiny_root, saved):
    with pytest.raises(WeightsError, match="Python objects"):
        ready(tiny_root, weights=saved({"transformer_decoder.temp": CANVAS}))


def test_images_of_the_last_call_are_remembered_for_each_canvas(tiny_root, images):
    network = ready(tiny_root)
    other = Canvas(112, "long_side")
    first, second = network.encode(images, CANVAS), network.encode(images, other)
    assert network.encode(images, CANVAS) is first
    assert network.encode(images, other) is second
    assert network.encode(images[:1], CANVAS) is not first


def test_canvases_that_are_not_square_and_differ(tiny_root, images):
    canvas = Canvas(112, "long_side", padding="tight")
    together = ready(tiny_root, batch=4).encode(images, canvas)
    assert [tuple(each.features.shape[1:]) for each in together] == [(6, 8), (8, 6)]
    for image, each in zip(images, together, strict=True):
        (alone,) = ready(tiny_root).encode([image], canvas)
        torch.testing.assert_close(each.features, alone.features, atol=1e-5, rtol=0)


def test_a_canvas_is_of_whole_patches(tiny_root, images):
    with pytest.raises(ConfigError, match=r"multiple of the patch of 14 .* canvas.side=98"):
        ready(tiny_root).encode(images, Canvas(100))
