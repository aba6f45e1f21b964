import os

import pytest
import torch
from torch import nn

from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import load_strict, read_state_dict


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(nn.Linear(40, 30).state_dict(), path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read(tmp_path, zipped):
    layer = nn.Linear(4, 3)
    torch.save(layer.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    other = nn.Linear(4, 3)
    load_strict(other, read_state_dict(tmp_path / "a.pth"), "a.pth")
    assert torch.equal(layer.weight, other.weight)
    assert torch.equal(layer.bias, other.bias)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_is_one_clear_error(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match=r"model.pth.*truncated.*ipseg weights fetch"):
        read_state_dict(saved)


def test_code_is_refused_and_never_run(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": RunsCode()}, saved)
    with pytest.raises(WeightsError, match=r"model.pth was refused.*could run code") as caught:
        read_state_dict(saved)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


def test_a_web_page_instead_of_weights_is_refused(saved):
    saved.write_text("<html>404</html>")
    with pytest.raises(WeightsError, match=r"model.pth was refused: it is damaged"):
        read_state_dict(saved)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"weight": torch.ones(1)}}])
def test_other_contents_are_refused(saved, content):
    torch.save(content, saved)
    with pytest.raises(
        WeightsError, match=r"model.pth contains a (list|dict), not a plain state dict"
    ):
        read_state_dict(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot read weights file"):
            read_state_dict(path)


def test_all_mismatches_are_counted_and_named():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = {"0.weight": torch.ones(4, 4), "0.bias": torch.ones(3), "head": torch.ones(1)}
    with pytest.raises(WeightsError) as caught:
        load_strict(model, state, "some.pth")
    message = str(caught.value)
    assert "some.pth does not fit Sequential (6 tensors)" in message
    assert "4 missing (1.weight, 1.bias, 2.weight, ...)" in message
    assert "1 not of this model (head)" in message
    assert "0.weight (4, 4) instead of (3, 4)" in message
    assert "weights fetch" in message
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
