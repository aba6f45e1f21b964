"""What steps that stand side by side declare: networks, memory, columns."""

import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipseg.methods.side_by_side import Branch, Collect, SideBySide, side_by_side
from ipseg.objects import Object
from ipseg.rows import Resources, Step
from ipseg.runner import run_local

MASK = np.ones((1, 1), bool)


@dataclass
class Find(Step):
    """A step without a network."""

    name = "find"
    requires = ("key",)
    provides = ("objects",)

    def __call__(self, rows):
        return rows


@dataclass
class Network:
    """A part that takes memory."""

    weights: str
    gpu_memory_gb: float

    def setup(self, models):
        """Nothing to load."""


@dataclass
class Heavy(Step):
    """A step with a network, and memory of its own beside it."""

    part: Network
    beside: float = 0.0
    cpus: float = 1.0
    ready: list[Any] = field(default_factory=list, compare=False)

    name = "heavy"
    requires = ("key",)
    provides = ("similarity",)
    loads_model = True

    @property
    def networks(self):
        return [self.part]

    @property
    def resources(self):
        return Resources(self.cpus, self.part.gpu_memory_gb + self.beside)

    def setup(self):
        self.ready.append(self.part)

    def __call__(self, rows):
        return [{**row, "similarity": self.beside} for row in rows]


@dataclass
class Ranked(Find):
    """What comes after a step with a network."""

    requires = ("similarity",)


def test_side_by_side_declares_each_network_once_and_the_larger_of_what_else_is_needed():
    sam, dino = Network("sam", 5.0), Network("dino", 1.0)
    steps = Heavy(sam, 0.5, 1.0), Heavy(Network("sam", 5.0), 2.0, 3.0), Heavy(dino)
    joined = SideBySide(tuple(Branch(step, str(n)) for n, step in enumerate(steps)))
    assert joined.networks == [sam, dino]
    assert joined.resources == Resources(cpus=3.0, gpu_memory_gb=5 + 1 + 2)
    assert joined.loads_model
    assert joined.name == "heavy"
    joined.setup()
    assert all(step.ready for step in steps)
    plain = SideBySide((Branch(Find(), "1"), Branch(Find(), "2")))
    assert not plain.loads_model
    assert plain.resources == Resources()


def test_pixels_of_one_chain_stay_in_a_step_of_their_own():
    """A step with pixels runs again wherever these are needed; others must not run with it."""

    @dataclass
    class Pixels(Step):
        value: int
        name = "pixels"
        requires = ("key",)
        provides = ("image",)

        def __call__(self, rows):
            return [{**row, "image": self.value} for row in rows]

    @dataclass
    class See(Step):
        name = "see"
        requires = ("image",)
        provides = ("objects",)

        def __call__(self, rows):
            return [{**row, "objects": [Object.of("cup", 1, MASK, row["image"])]} for row in rows]

    steps = side_by_side({"a": [Pixels(1), See()], "b": [Pixels(2), See()]}, "objects", heads=1)
    assert [step.provides for step in steps[:2]] == [
        ("image@1", "chain_errors"),
        ("image@2", "chain_errors"),
    ]
    (row,) = run_local(steps, [{"key": "k"}])
    assert [(item.variant, item.score) for item in row["objects"]] == [("a", 1), ("b", 2)]


def test_what_is_collected_is_said_to_be_needed():
    leaves = {"a": Branch(Find(), "3"), "b": Branch(Find(), "4")}
    step = Collect(leaves, "objects")
    assert step.requires == ("objects@3", "objects@4")
    assert step.provides == ("objects", "chain_errors")


def test_a_step_goes_to_its_worker_without_those_before_it():
    """Unpickled, they would bring their modules along, as torch for a step that needs none."""
    networks = Network("dino", 1.0), Network("sam", 5.0)
    chains = {n.weights: [Heavy(n), Ranked()] for n in networks}
    before, ranked, _ = side_by_side(chains, "objects")
    sent = pickle.dumps(ranked)
    assert b"Heavy" in pickle.dumps(before)
    assert b"Heavy" not in sent
    for branch, own in zip(pickle.loads(sent).branches, ranked.branches, strict=True):  # noqa: S301
        assert branch.inputs == own.inputs == {"similarity": f"similarity@{own.path[1]}"}
        assert branch.path == own.path
