import json

import pytest
from huggingface_hub import constants

from ipseg.config import load_config
from ipseg.errors import OutputError, WeightsError
from jobs.weights import check_weights, fetch_weights, list_weights, print_tiny


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("COLUMNS", "200")


def profile(name, root, *overrides):
    return load_config(name, [f"models.root={root}", *overrides])


def test_list_says_where_what_is_needed_lies(tiny_root, capsys):
    list_weights(profile("ipseg", tiny_root), as_json=False)
    printed = capsys.readouterr().out
    for word in ("cornet_rgb_duts_tr.pth", "facebook/dinov2-base", "sam_vit_h", "OpenRAIL", "tiny"):
        assert word in printed
    assert "random weights" in printed


def test_list_says_how_to_get_what_is_missing(tmp_path, capsys):
    odise = "features.stable_diffusion.odise=odise_label_coco_50e-b67d2efc.pth"
    list_weights(profile("ipseg", tmp_path, odise), as_json=False)
    printed = capsys.readouterr().out
    assert printed.count("missing") == 6
    assert "(non-commercial)" in printed
    assert f"ipseg weights fetch ipseg --set models.root={tmp_path}" in printed
    assert f"put it at {tmp_path}/sam_vit_h_4b8939.pth" in printed


@pytest.mark.parametrize("width", [40, 80])
def test_an_id_is_whole_however_narrow_the_terminal(tmp_path, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    list_weights(profile("ipseg", tmp_path), as_json=False)
    printed = capsys.readouterr().out
    for name in ("stable-diffusion-v1-5/stable-diffusion-v1-5", "facebook/dinov2-base"):
        assert name in printed.splitlines(), "a line of its own"
    assert "…" not in printed, "nothing is cut"


def test_list_as_json(tiny_root, capsys):
    list_weights(profile("ipseg-light", tiny_root), as_json=True)
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["facebook/dinov2-small"]["parts"] == ["support.saliency", "features.dinov2"]
    assert found["facebook/dinov2-small"]["licence"] == "Apache-2.0"
    assert found["sam_vit_b_01ec64.pth"]["location"] == str(tiny_root / "sam_vit_b_01ec64.pth")


@pytest.mark.parametrize("verb", [list_weights, check_weights, fetch_weights])
def test_a_profile_without_weights_is_fine(capsys, verb):
    verb(load_config("classical"), as_json=False)
    assert "needs no weights" in capsys.readouterr().out


def test_check_prints_sums(tiny_root, capsys):
    check_weights(profile("ipseg", tiny_root), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 4
    for item in found:
        assert item["faults"] == []
        assert all(len(digest) == 64 for digest in item["sha256"].values())
    check_weights(profile("ipseg", tiny_root), as_json=False)
    assert "as written" in capsys.readouterr().out


def test_check_names_what_is_damaged_and_what_to_do(tiny_root, tmp_path, capsys):
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"cut off")
    model = tmp_path / "facebook" / "dinov2-small"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    with pytest.raises(WeightsError) as error:
        check_weights(profile("ipseg-light", tmp_path), as_json=False)
    message = str(error.value)
    assert message.startswith("2 of 2 weights of profile 'ipseg-light' cannot be used")
    assert f"{model}/model.safetensors is missing" in message
    assert "ipseg weights fetch ipseg-light" in message
    assert "not the published file" in capsys.readouterr().out.replace("\n", " ")


def test_fetch_offline_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"huggingface\.co cannot be reached"):
        fetch_weights(profile("ipseg-light", tmp_path), as_json=False)


def test_fetch_says_where_to_get_what_is_not_on_the_hub(tiny_root, tmp_path, capsys):
    model = tmp_path / "facebook" / "dinov2-small"
    model.mkdir(parents=True)
    for file in (tiny_root / "facebook" / "dinov2-small").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match=r"github\.com/facebookresearch/segment-anything"):
        fetch_weights(profile("ipseg-light", tmp_path), as_json=True)
    assert json.loads(capsys.readouterr().out)[1]["location"] is None


def test_fetch_of_what_is_there_does_nothing(tiny_root, capsys):
    fetch_weights(profile("ipseg", tiny_root), as_json=False)
    assert "sam_vit_h" in capsys.readouterr().out


def test_tiny_says_how_to_use_them(tmp_path, capsys):
    print_tiny(tmp_path / "tiny", as_json=False)
    assert f"--set models.root={tmp_path / 'tiny'}" in capsys.readouterr().out
    with pytest.raises(OutputError, match="not empty"):
        print_tiny(tmp_path, as_json=False)
