import json

import pytest
import torch
from huggingface_hub import constants

from ipseg.config import load_config
from ipseg.errors import WeightsError
from ipseg.networks.models import Models, set_tf32

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty hub cache and an empty working directory."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["sam.pth", "owner/model"])
def test_the_root_takes_precedence_over_the_working_directory(tmp_path, name):
    for folder in (tmp_path / "here", tmp_path / "root"):
        (folder / name).mkdir(parents=True)
    assert Models(root=str(tmp_path / "root")).locate(name) == str(tmp_path / "root" / name)
    assert Models().locate(name) == name


def test_the_last_part_of_a_hub_id_is_enough_for_a_folder(tmp_path):
    (tmp_path / "root" / "model").mkdir(parents=True)
    found = Models(root=str(tmp_path / "root")).locate("owner/model")
    assert found == str(tmp_path / "root" / "model")


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "sam.pth").touch()
    expected = str(tmp_path / "weights" / "sam.pth")
    assert Models(root="~/weights").locate("sam.pth") == expected
    assert Models().locate("~/weights/sam.pth") == expected


@pytest.mark.parametrize("listed", [("config.json",), ("config.json", "flax_model.msgpack")])
def test_an_incomplete_snapshot_in_the_hub_cache_is_found(cache, listed):
    repository = cache / "models--owner--model"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "trees").mkdir()
    files = {name: {"size": 2, "blob_id": "0"} for name in listed}  # on the hub, as last seen
    tree = json.dumps({"format_version": 1, "files": files})
    (repository / "trees" / f"{COMMIT}.json").write_text(tree)
    assert Models().locate("owner/model") == str(snapshot)


def test_of_a_hub_id_the_revision_that_is_asked_for_is_found(cache):
    repository = cache / "models--owner--model"
    for commit in (COMMIT, COMMIT[::-1]):
        (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for revision, commit in (("main", COMMIT), (COMMIT[::-1], COMMIT[::-1])):
        assert Models().locate("owner/model", revision).endswith(commit)
    with pytest.raises(WeightsError, match="not found"):
        Models().locate("owner/model", "f" * 40)


@pytest.mark.parametrize("name", ["sam.pth", "owner/model", "not a/hub id", "/nowhere/at/all"])
def test_missing_weights_are_one_error_with_folders_and_remedy(tmp_path, name):
    with pytest.raises(WeightsError) as error:
        Models(root=str(tmp_path / "root")).locate(name)
    message = str(error.value)
    assert f"'{name}' not found" in message
    assert str(tmp_path / "root") in message or name.startswith("/")
    assert "ipseg weights fetch" in message


def test_precision_is_that_of_computations():
    a = torch.ones(2, 2)
    for precision, dtype in (
        ("float32", torch.float32),
        ("auto", torch.float32),  # on a CPU
        ("bfloat16", torch.bfloat16),
    ):
        with Models(device="cpu", precision=precision).autocast():
            assert (a @ a).dtype == dtype


def test_a_device_can_be_named():
    assert Models(device="meta").torch_device() == torch.device("meta")


def test_tf32_is_part_of_what_a_result_depends_on_where_it_is_on():
    plain, tf32 = load_config("ipseg-light"), load_config("ipseg-light", ["models.tf32=true"])
    assert plain.relevant["models"] == {"precision": "auto"}
    assert tf32.relevant["models"] == {"precision": "auto", "tf32": True}
    assert plain.sha256 != tf32.sha256


def test_old_and_new_switches_of_tf32_agree():
    try:
        for on in (True, False):
            set_tf32(on)
            matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
            assert (matmul.fp32_precision == "tf32") is (cudnn.conv.fp32_precision == "tf32") is on
            assert matmul.allow_tf32 is cudnn.allow_tf32 is on
    finally:
        set_tf32(False)
