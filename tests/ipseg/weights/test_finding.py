import pickle
import shutil

import pytest
import torch
from safetensors.torch import save_file

from ipseg.networks.models import Models
from ipseg.weights.catalogue import CATALOGUE, Need, Source
from ipseg.weights.finding import check, find

SAM, DINO = "sam_vit_b_01ec64.pth", "facebook/dinov2-small"
DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def need(name, part="segmenter"):
    return Need((part,), name, CATALOGUE[name])


def test_tiny_weights_are_recognised_and_complete(tiny):
    for name in CATALOGUE:
        part = "features.stable_diffusion" if "diffusion" in name else "segmenter"
        found = find(need(name, part), tiny)
        assert found.where == "tiny"
        assert found.complete
        assert found.size > 0
        checked = check(found)
        assert checked.faults == ()
        assert checked.sha256
        assert all(file.published for file in found.files)


def test_missing_weights(tmp_path):
    found = find(need(DINO), Models(root=str(tmp_path)))
    assert (found.location, found.where, found.complete) == (None, "", False)
    assert found.missing == ("config.json", "model.safetensors")
    assert check(found).faults == ("not found",)


@pytest.fixture
def copied(tiny_root, tmp_path):
    """Tiny weights without the file that marks them as tiny."""
    for name in (DINO, DIFFUSION):
        shutil.copytree(tiny_root / name, tmp_path / name)
    shutil.copy(tiny_root / SAM, tmp_path / SAM)
    return tmp_path


def test_a_missing_part_is_named(copied):
    (copied / DIFFUSION / "vae" / "config.json").unlink()
    found = find(need(DIFFUSION, "features.stable_diffusion"), Models(root=str(copied)))
    assert found.where == "folder"
    assert found.missing == ("vae/config.json",)
    assert "vae/config.json is missing" in check(found).faults[0]


def test_an_older_file_replaces_a_safetensors(copied):
    (copied / DINO / "model.safetensors").unlink()
    torch.save({"a": torch.ones(2)}, copied / DINO / "pytorch_model.bin")
    found = find(need(DINO), Models(root=str(copied)))
    assert found.complete
    assert set(check(found).sha256) == {"pytorch_model.bin"}


def test_a_published_checksum_must_match(copied):
    checked = check(find(need(SAM), Models(root=str(copied))))
    assert "is not the published file" in checked.faults[0]


def own(path):
    return find(Need(("segmenter",), str(path), Source("", None, None, "file")), Models())


@pytest.mark.parametrize("end", ["safetensors", "pth"])
@pytest.mark.parametrize("kept", [0, 40, 0.5, 0.99])
def test_a_truncated_file_is_damaged(tmp_path, end, kept):
    path = tmp_path / f"weights.{end}"
    state = {"a": torch.ones(100, 10)}
    save_file(state, path) if end == "safetensors" else torch.save(state, path)
    assert check(own(path)).faults == ()
    data = path.read_bytes()
    path.write_bytes(data[: kept if kept > 1 else int(kept * len(data))])
    assert str(path) in check(own(path)).faults[0]


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code from a weights file was run",))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_a_fault_and_is_not_executed(tmp_path, legacy):
    path = tmp_path / "weights.pth"
    torch.save({"a": Bomb()}, path, _use_new_zipfile_serialization=not legacy)
    assert "contains more than tensors" in check(own(path)).faults[0]
    path.write_bytes(pickle.dumps(Bomb()))
    assert check(own(path)).faults


def test_the_form_before_pytorch_1_6_is_read(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert check(own(tmp_path / "w.pth")).faults == ()


def test_a_folder_made_by_the_user_is_checked(copied):
    assert own(copied / DINO).complete
    assert not own(copied / DIFFUSION).complete  # not a folder of transformers
