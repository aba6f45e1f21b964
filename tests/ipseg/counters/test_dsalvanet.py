import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.counters.dsalvanet import DSALVANet, scaled
from ipseg.counters.dsalvanet_network import DSALVANetwork
from ipseg.errors import WeightsError
from ipseg.networks.models import Models

sys.path.append(str(Path(__file__).parent))

from released import digest

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = ("three", "one", "border", "narrow", "small")
KEYS = "c74c65f81aad9493a308d5c721782ab2dd7f01496af0b981d97b334ac37bcc6f"
CPU = Models(device="cpu")


def test_names_and_shapes_are_those_of_the_released_checkpoint():
    with torch.device("meta"):
        network = DSALVANetwork()
    assert digest(network) == (768, KEYS)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(41.7, abs=0.1)


def test_the_resnet_is_held_once_and_only_what_is_used(dsalvanet, golden):
    network = dsalvanet._network
    names = set(network.state_dict())
    assert not any("layer4" in name or "resnet" in name for name in names)
    whole = golden.dsalvanet_state()
    assert names < set(whole)
    for name in ("backbone.layer0.0.weight", "backbone.layer3.0.conv1.weight", "in_conv.bias"):
        assert torch.equal(network.state_dict()[name], whole[name])


@pytest.mark.parametrize("case", CASES)
def test_densities_and_counts_are_the_golden_ones(dsalvanet, golden, case):
    name, boxes = golden.CASES[case]
    (encoded,) = dsalvanet.encode([golden.photo(name)])
    found = dsalvanet.count(encoded, np.array(boxes, float))
    with np.load(GOLDEN / "counters.npz") as wanted:
        density, total = (wanted[f"dsalvanet.{case}.{name}"] for name in ("map", "total"))
    step = golden.STEP
    np.testing.assert_allclose(found.map[::step, ::step], density, rtol=0, atol=1e-4)
    assert found.total == pytest.approx(total, rel=2e-5)
    assert found.count == np.ceil(found.total)


def test_one_box_counts_three_times_and_the_first_of_two_twice():
    boxes = np.array([[10.9, 0, 20, 30], [1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]])
    first, second, third = [21, 0, 40, 60], [2, 4, 6, 8], [10, 12, 14, 16]
    assert scaled(boxes[:1], (100, 100), 200) == [first, first, first]
    assert scaled(boxes[:2], (100, 100), 200) == [first, second, first]
    assert scaled(boxes, (100, 100), 200) == [first, second, third]


def test_cells_take_in_the_one_after_the_box_and_stay_inside(dsalvanet):
    boxes = np.array([[0, 0, 7, 8], [250, 240, 255, 255], [4, 5, 4, 5]])
    cells = dsalvanet.cells((256, 256), boxes)
    assert cells == [(0, 0, 3, 3), (60, 62, 64, 64), (1, 1, 3, 2)]


def test_noise_is_a_setting_with_a_seed(dsalvanet, golden):
    image, box = golden.photo("coffee"), np.array([[100.0, 100, 150, 150]])

    def counted(**settings):
        counter = DSALVANet(weights=dsalvanet.weights, side=128, **settings)
        counter.setup(CPU)
        return counter.count(counter.encode([image])[0], box).map

    mean, one = counted(), counted(lvam="sample", seed=1)
    assert np.array_equal(one, counted(lvam="sample", seed=1))
    assert not np.allclose(one, counted(lvam="sample", seed=2), atol=1e-4)
    assert not np.allclose(one, mean, atol=1e-4)
    assert np.array_equal(mean, counted(seed=2))


def refused(content, saved, match):
    with pytest.raises(WeightsError, match=match):
        DSALVANet(weights=saved(content)).setup(CPU)


def test_what_does_not_fit_is_refused_by_name(golden, saved):
    state = golden.dsalvanet_state()
    less = {k: v for k, v in state.items() if k != "lvam.mu.weight"}
    refused({"state_dict": less}, saved, r"1 missing \(lvam.mu.weight\)")
    twin = {k: v for k, v in state.items() if k != "backbone.resnet.layer3.0.conv2.weight"}
    refused({"state_dict": twin}, saved, "1 missing .*backbone.resnet.layer3.0.conv2.weight")
    other = state | {"lvam.ln1.bias": torch.ones(3)}
    refused({"state_dict": other}, saved, r"lvam.ln1.bias \(3,\) instead of \(64,\)")
    refused({"state_dict": {"weight": torch.ones(1)}}, saved, "not of DSALVANet: it has no")
    refused(state, saved, "has no 'state_dict'")


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_checkpoints_are_read_without_running_code(golden, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = {"args": argparse.Namespace(lr=1e-4), "best": np.float64(9.5), "epoch": 200}
    counter = DSALVANet(weights=saved({"state_dict": golden.dsalvanet_state(), **beside}))
    counter.setup(CPU)
    refused({"state_dict": golden.dsalvanet_state(), "more": RunsCode()}, saved, "could run code")
    assert not (tmp_path / "pwned").exists()
