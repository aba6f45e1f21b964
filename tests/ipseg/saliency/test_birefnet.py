"""BiRefNet with tiny random weights; code that is run comes from the folder of the weights."""

import json
import shutil

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ipseg.config import load_config
from ipseg.errors import ConfigError, WeightsError
from ipseg.networks.models import Models
from ipseg.saliency.birefnet import BiRefNetSaliency
from ipseg.saliency.weak import is_weak
from ipseg.weights.catalogue import needs
from ipseg.weights.stand_in import BiRefNet, BiRefNetConfig

NAME = "ZhengPeng7/BiRefNet"


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory):
    """Where transformers copies code before it runs; of no other test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("modules"))
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", folder)
        yield


@pytest.fixture(scope="module")
def photo():
    return skimage.data.chelsea()[::3, ::3]


@pytest.fixture
def folder(tiny_root, tmp_path):
    return shutil.copytree(tiny_root / NAME, tmp_path / "birefnet")


def ready(folder, **settings):
    saliency = BiRefNetSaliency(weights=str(folder), remote_code=True, size=64, **settings)
    saliency.setup(Models(device="cpu"))
    return saliency


def test_it_is_the_sigmoid_of_the_last_map_of_the_image_as_a_square(folder, photo):
    network = BiRefNet(BiRefNetConfig())
    network.load_state_dict(load_file(folder / "model.safetensors"))
    small = np.array(Image.fromarray(photo).resize((64, 64), Image.Resampling.BILINEAR))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy((small / 255 - mean) / std).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = network(pixels)[-1].sigmoid()[0, 0].numpy()

    saliency = ready(folder)
    found = saliency.predict(photo)
    assert found.shape == photo.shape[:2]
    levels = found * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    again = np.array(Image.fromarray(found).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(again - expected)[4:-4, 4:-4].mean() < 0.02
    assert np.array_equal(saliency.predict(photo), found), "nothing is kept from call to call"


def test_nothing_salient_is_a_weak_guess(folder, photo):
    saliency = ready(folder)
    saliency._network.heads[-1].bias.fill_(-100)
    assert not saliency.predict(photo).any()
    assert is_weak(saliency.isolate(photo))


def test_weights_in_16_bits_run_in_32(folder, photo):
    state = load_file(folder / "model.safetensors")
    save_file({name: t.half() for name, t in state.items()}, folder / "model.safetensors")
    saliency = ready(folder)
    assert {p.dtype for p in saliency._network.parameters()} == {torch.float32}
    assert saliency.predict(photo).std() > 0.01


def test_no_code_runs_before_it_is_allowed():
    with pytest.raises(ConfigError, match=r"support.saliency: ZhengPeng7/BiRefNet brings Python"):
        load_config("classical", ["support.saliency={kind: birefnet}"])
    config = load_config("classical", ["support.saliency={kind: birefnet, remote_code: true}"])
    (need,) = needs(config.resolved)
    assert need.source.revision == config.support.saliency.revision
    assert len(need.source.revision) == 40, "a commit, not a branch that can move"


@pytest.mark.parametrize("name", ["config.json", "birefnet.py", "model.safetensors"])
def test_an_incomplete_folder_is_one_error(folder, name):
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"no {name} in .*hf download .* --revision"):
        ready(folder)


def test_code_that_lies_elsewhere_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "someone/else--BiRefNet_config.BiRefNetConfig"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="another repository, someone/else, of no fixed"):
        ready(folder)
    (folder / "config.json").write_text('{"model_type": "dinov2"}')
    with pytest.raises(WeightsError, match="names no code"):
        ready(folder)


def test_code_that_needs_what_is_not_installed_says_so(folder):
    code = folder / "birefnet.py"
    code.write_text(f"{code.read_text()}\n\nimport kornia_of_old\n")
    with pytest.raises(WeightsError, match=r"does not work here: .*kornia_of_old"):
        ready(folder)


def test_damaged_and_foreign_weights_are_one_error(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        ready(folder)
    path.write_bytes(whole)
    state = load_file(path)
    save_file({name: t for name, t in state.items() if name != "fine.bias"}, path)
    with pytest.raises(WeightsError, match=r"1 missing \(fine.bias\)"):
        ready(folder)
