import importlib.util
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torchvision.models import resnet50

from ipseg.errors import WeightsError
from ipseg.networks.models import Models
from ipseg.saliency.cornet import CorNetSaliency, to_8bit, to_input
from ipseg.saliency.cornet_network import CorNet
from ipseg.saliency.weak import is_weak

GOLDEN = Path(__file__).parents[2] / "golden"
CPU = Models(device="cpu")


@pytest.fixture(scope="module")
def golden():
    """The script that made the golden numbers: weights and image."""
    spec = importlib.util.spec_from_file_location("make_cornet", GOLDEN / "make_cornet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def state(golden):
    return golden.seeded_state()


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "cornet.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def saliency(weights):
    loaded = CorNetSaliency(weights=str(weights))
    loaded.setup(CPU)
    return loaded


def test_names_and_shapes_are_those_of_the_released_checkpoint():
    with torch.device("meta"):
        network = CorNet()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert len(shapes) == 368
    assert Counter(name.partition(".")[0] for name in shapes) == {"encoder": 320, "decoder": 48}
    assert {n.removeprefix("encoder.") for n in shapes if n.startswith("encoder.")} == set(
        resnet50().state_dict()
    )
    assert sum(p.numel() for p in network.parameters()) == 28_397_864
    assert sum(p.numel() for p in network.decoder.parameters()) == 2_840_832
    expected = {
        "encoder.fc.weight": (1000, 2048),
        "decoder.adapter0.0.weight": (64, 64, 3, 3),
        "decoder.adapter4.0.weight": (64, 2048, 3, 3),
        "decoder.adapter4.1.bias": (64,),
        "decoder.region.gconv.1.weight": (64,),
        "decoder.local.res_conv2.bias": (64,),
        "decoder.local.fuse.weight": (64, 192, 3, 3),
        "decoder.gb_conv.0.weight": (128, 64, 3, 3),
        "decoder.gb_conv.5.weight": (64,),
    }
    assert {name: shapes[name] for name in expected} == expected


def test_logits_and_levels_equal_the_golden_numbers(golden, saliency):
    with np.load(GOLDEN / "cornet.npz") as wanted:
        logit, level = wanted["logit"], wanted["level"]
    step = golden.STEP
    found = saliency.logit(golden.photo())
    np.testing.assert_allclose(found.numpy()[::step, ::step], logit, rtol=0, atol=2e-4)
    full = to_8bit(torch.sigmoid(found).numpy(), golden.photo().shape[:2])
    got = full[::step, ::step].astype(int)
    assert np.abs(got - level).max() <= 1
    assert np.mean(got != level) <= 0.01


def test_the_map_has_8_bits_and_the_size_of_the_image(photos, saliency):
    image = photos["cat"][:61, 20:203]
    found = saliency.predict(image)
    assert found.shape == (61, 183)
    assert found.dtype == np.float32
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    assert np.isin(found, levels).all()
    assert found.max() > 0.5
    assert np.array_equal(found, saliency.isolate(image))  # and is the same each time


def test_the_input_is_resized_and_normalised_as_imagenet():
    image = np.full((20, 50, 3), (0, 128, 255), np.uint8)
    pixels = to_input(image)
    assert pixels.shape == (1, 3, 320, 320)
    wanted = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert np.allclose(pixels.numpy()[0], np.reshape(wanted, (3, 1, 1)), atol=1e-6)


def test_every_level_survives_rounding():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(to_8bit(levels.astype(np.float32) / 255, (16, 16)), levels)


def test_a_thin_strip_is_accepted(saliency):
    found = saliency.isolate(np.zeros((1, 400, 3), np.uint8))
    assert found.shape == (1, 400)
    assert found.max() > 0.5


def test_nothing_salient_gives_a_weak_guess(state, tmp_path, photos):
    state = dict(state)
    for part, bias in (("local", 1.0), ("region", -0.02)):  # logit -64 * 0.02 everywhere
        state[f"decoder.{part}.fuse.weight"] = torch.zeros(64, 192, 3, 3)
        state[f"decoder.{part}.fuse.bias"] = torch.full((64,), bias)
    torch.save(state, tmp_path / "dark.pth")
    dark = CorNetSaliency(weights="dark.pth")
    dark.setup(Models(root=str(tmp_path), device="cpu"))
    assert np.allclose(dark.probability(photos["cup"]), 1 / (1 + np.exp(1.28)), atol=1e-5)
    isolated = dark.isolate(photos["cup"])
    assert isolated.min() > 0.5
    assert is_weak(isolated)


def test_half_precision_arithmetic_is_close(saliency, weights, photos, monkeypatch):
    # 320 pixels take most of a minute on CPUs without such arithmetic.
    monkeypatch.setattr("ipseg.saliency.cornet.INPUT_SIDE", 64)
    half = CorNetSaliency(weights=str(weights))
    half.setup(Models(device="cpu", precision="bfloat16"))
    exact, rough = saliency.probability(photos["cup"]), half.probability(photos["cup"])
    assert rough.shape == (64, 64)
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).mean() < 0.02


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(resnet50().state_dict(), tmp_path / "resnet.pth")
    other = CorNetSaliency(weights=str(tmp_path / "resnet.pth"))
    with pytest.raises(WeightsError, match=r"resnet.pth does not fit CorNet .*368 missing"):
        other.setup(CPU)


def test_missing_weights_name_the_command_that_gets_them():
    with pytest.raises(WeightsError, match=r"cornet_rgb_duts_tr.pth.*ipseg weights fetch"):
        CorNetSaliency().setup(CPU)


def test_settings_are_checked_and_can_be_pickled_before_setup():
    built = TypeAdapter(CorNetSaliency).validate_python({"weights": "a.pth"})
    assert pickle.loads(pickle.dumps(built)) == built  # noqa: S301
    with pytest.raises(RuntimeError, match="setup"):
        built.predict(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        TypeAdapter(CorNetSaliency).validate_python({"gpu_memory_gb": -1})
