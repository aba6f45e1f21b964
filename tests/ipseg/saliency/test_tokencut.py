import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pydantic import TypeAdapter, ValidationError
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from ipseg.errors import ConfigError, WeightsError
from ipseg.networks.models import Models
from ipseg.saliency.foreground import overlap
from ipseg.saliency.tokencut import TokenCut
from ipseg.saliency.weak import is_weak

CPU = Models(device="cpu")
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_ratio": 2,
    "patch_size": 6,
    "image_size": 30,
    "layerscale_value": 0.2,
}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
NETWORKS = {
    "plain": (Dinov2Model, Dinov2Config(**SHAPE)),
    "registers": (
        Dinov2WithRegistersModel,
        Dinov2WithRegistersConfig(**SHAPE, num_register_tokens=3),
    ),
}


def build(kind, folder, positions=0.1):
    """A random network of the real class, on disk as on the hub."""
    cls, config = NETWORKS[kind]
    network = cls(config)
    generator = torch.Generator().manual_seed(5)
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            scale = positions if "position" in name else tensor[0].numel() ** -0.5
            tensor.copy_(scale * torch.randn(tensor.shape, generator=generator))
    network.save_pretrained(folder)
    statistics = {"image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    return network.eval()


def loaded(folder, **settings):
    saliency = TokenCut(weights=str(folder), **{"size": 96, **settings})
    saliency.setup(CPU)
    return saliency


@pytest.fixture(scope="module", params=list(NETWORKS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp(kind)
    build(kind, path)
    return path


@pytest.fixture(scope="module")
def disc():
    """(H, W, 3) image and its mask: a red disc on a noisy green ground."""
    mask = Image.new("L", (150, 110))
    ImageDraw.Draw(mask).ellipse((40, 25, 110, 90), fill=255)
    inside = np.asarray(mask) > 0
    noise = np.random.default_rng(0).normal(0, 6, (110, 150, 3))
    image = np.where(inside[..., None], (200, 40, 60), (60, 140, 50)) + noise
    return np.clip(image, 0, 255).astype(np.uint8), inside


@pytest.mark.parametrize(("facet", "iterations"), [("keys", 1), ("tokens", 0)])
def test_the_disc_is_isolated(folder, disc, facet, iterations):
    image, inside = disc
    saliency = loaded(folder, facet=facet, iterations=iterations)
    isolated = saliency.isolate(image)
    assert isolated.dtype == np.float32
    assert isolated.shape == inside.shape
    assert set(np.unique(isolated)) == {0, 1}
    assert overlap(isolated > 0.5, inside) > (0.95 if iterations else 0.8)
    soft = saliency.predict(image)
    assert soft.dtype == np.float32
    assert soft.shape == inside.shape
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert soft[inside].mean() > soft[~inside].mean() + 0.3
    assert np.array_equal(isolated, saliency.isolate(image))


def test_statistics_patch_and_last_block_of_the_network_are_used(tmp_path, kind):
    network = build(kind, tmp_path)
    image = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    # 37 px are rounded down to 6 patches of 6 px, so the image is not resized.
    got = {facet: loaded(tmp_path, size=37, facet=facet) for facet in ("keys", "tokens")}
    pixels = torch.from_numpy((image / 255 - MEAN) / STD).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        states = network(pixels, output_hidden_states=True)
        last = network.encoder.layer[-1]
        keys = last.attention.k_proj(last.norm1(states.hidden_states[-2]))[0, -24:]
        tokens = states.last_hidden_state[0, -24:]
    for facet, wanted in (("keys", keys), ("tokens", tokens)):
        features = got[facet].features(image)
        assert features.shape == (4, 6, 32)
        np.testing.assert_allclose(features.reshape(24, 32), wanted.numpy(), atol=1e-5)


def test_artifact_patches_get_the_features_of_their_neighbours(tmp_path):
    network = build("plain", tmp_path)
    with torch.no_grad():
        network.embeddings.position_embeddings[0, 1] *= 1000
    network.save_pretrained(tmp_path)
    image = np.random.default_rng(2).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    features = loaded(tmp_path, size=30).features(image)
    same = (features == features[0, 0]).all(axis=2)
    assert same.sum() == 2
    assert same[0, 1] or same[1, 0]


def test_a_uniform_image_gives_a_weak_guess_of_everything(tmp_path):
    build("plain", tmp_path, positions=0)
    saliency = loaded(tmp_path)
    plain = np.full((40, 60, 3), 90, np.uint8)
    assert not saliency.predict(plain).any()
    isolated = saliency.isolate(plain)
    assert isolated.shape == (40, 60)
    assert isolated.min() > 0.5
    assert is_weak(isolated)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (300, 7, 3), (3, 2, 3)])
def test_odd_sizes_never_give_an_empty_object(folder, shape):
    image = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    isolated = loaded(folder).isolate(image)
    assert isolated.shape == shape[:2]
    assert isolated.max() > 0.5


def test_another_architecture_is_refused(tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = CLIPVisionConfig(**sizes, num_hidden_layers=1, patch_size=8, image_size=16)
    CLIPVisionModel(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="clip_vision_model"):
        loaded(tmp_path)


def test_bad_settings_are_refused(tmp_path):
    build("plain", tmp_path)
    with pytest.raises(ConfigError, match="less than one patch of 6"):
        loaded(tmp_path, size=5)
    for bad in ({"tau": 1.0}, {"facet": "values"}, {"iterations": -1}, {"size": 0}):
        with pytest.raises(ValidationError):
            TypeAdapter(TokenCut).validate_python(bad)


def test_settings_can_be_pickled_before_setup():
    saliency = TokenCut(tau=0.4)
    assert pickle.loads(pickle.dumps(saliency)) == saliency  # noqa: S301
    with pytest.raises(RuntimeError, match="setup"):
        saliency.isolate(np.zeros((8, 8, 3), np.uint8))
