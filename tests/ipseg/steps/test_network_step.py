"""Steps with networks: each loaded once in a process, their memory declared."""

import gc
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from ipseg.errors import WeightsError
from ipseg.features.classical import ClassicalDescriptors
from ipseg.methods.side_by_side import Branch, SideBySide
from ipseg.networks.models import Models
from ipseg.rows import Resources, Step
from ipseg.steps.network_step import NetworkStep


@dataclass
class Network:
    """A part that counts how often it is loaded."""

    weights: str
    weight: float = 1.0
    gpu_memory_gb: float = 0.0

    loaded: ClassVar[list[str]] = []

    def setup(self, models):
        if self.weights == "missing":
            raise WeightsError("weights 'missing' not found")
        Network.loaded.append(self.weights)
        self.root = models.root


@dataclass
class Compare(NetworkStep):
    """Some parts, alone and in a dict, and plain settings."""

    extractors: dict[str, Network]
    segmenter: Network | None = None
    shares: dict[str, float] = field(default_factory=dict)

    name = "compare"
    requires = ()
    provides = ()

    def __call__(self, rows):
        return rows


@pytest.fixture(autouse=True)
def nothing_loaded():
    gc.collect()
    Network.loaded.clear()


def test_only_steps_without_networks_are_called_by_several_threads():
    """A pass of a network may leave something in it, such as what a hook has seen."""
    plain = {"classical": ClassicalDescriptors()}
    assert Compare(plain).thread_safe
    assert not Compare({**plain, "a": Network("a")}).thread_safe
    assert not Compare(plain, Network("a")).thread_safe
    both = SideBySide((Branch(Compare(plain), "1"), Branch(Compare(plain, Network("a")), "2")))
    assert not both.thread_safe
    assert SideBySide((Branch(Compare(plain), "1"),)).thread_safe


def test_each_network_counts_once_whatever_its_weight_in_a_sum():
    step = Compare(
        {"a": Network("a", gpu_memory_gb=1.5), "b": Network("b", gpu_memory_gb=2.0)},
        Network("a", weight=0.5, gpu_memory_gb=1.5),
        {"a": 0.5},
    )
    assert [part.weights for part in step.networks] == ["a", "b"]
    assert step.resources == Resources(cpus=1, gpu_memory_gb=3.5)
    assert step.loads_model


def test_parts_are_replaced_by_loaded_ones_that_equal_steps_share():
    first, second = (
        Compare({"a": Network("a")}, models=Models(root="here")),
        Compare({"other": Network("a")}, Network("b"), {"a": 0.5}, models=Models(root="here")),
    )
    first.setup()
    second.setup()
    assert Network.loaded == ["a", "b"]
    assert first.extractors["a"] is second.extractors["other"]
    assert (second.segmenter.root, second.shares) == ("here", {"a": 0.5})
    first.setup()
    assert Network.loaded == ["a", "b"], "a second time there is nothing to do"


def test_a_step_that_has_run_is_equal_to_one_that_has_not():
    ran, fresh = Compare({"a": Network("a")}), Compare({"a": Network("a")})
    ran.setup()
    assert ran == fresh
    assert ran != Compare({"a": Network("a")}, models=Models(root="elsewhere"))


def test_a_step_without_a_part_loads_nothing():
    step = Compare({}, None)
    assert step.networks == []
    assert step.resources == Resources()
    step.setup()
    assert Network.loaded == []
    assert isinstance(step, Step)


def test_weights_that_are_missing_are_an_error_each_time():
    step = Compare({"a": Network("missing")})
    for _ in range(2):
        with pytest.raises(WeightsError, match="'missing' not found"):
            step.setup()
