"""Chains side by side are charged with what each of them costs alone."""

import time
from dataclasses import dataclass, field

import pytest

from ipseg.costs import drain
from ipseg.methods.side_by_side import side_by_side
from ipseg.networks.shared import LastBatch
from ipseg.rows import Step
from ipseg.runner import run_step

TAKES = 0.2


@dataclass
class Look(Step):
    """Encodes images by what it may share with others, as often as it likes."""

    name = "look"
    requires = ("image",)
    provides = ("objects",)

    last: LastBatch = field(compare=False)
    times: int = 1
    kind: str = ""

    def __call__(self, rows):
        for _ in range(self.times):
            self.last.get([row["image"] for row in rows], lambda: time.sleep(TAKES))
        return [{**row, "objects": []} for row in rows]


@dataclass
class Show(Step):
    """Of all chains."""

    name = "show"
    requires = ()
    provides = ("image",)
    kind: str = ""

    def __call__(self, rows):
        return [{**row, "image": object()} for row in rows]


@pytest.fixture(autouse=True)
def nothing_spent():
    drain()


def run(chains, rows=3):
    batch = [{"key": str(n)} for n in range(rows)]
    for step in side_by_side(chains, "objects"):
        batch = run_step(step, batch)
    return drain()


def test_each_chain_is_charged_with_what_they_share():
    last = LastBatch()
    costs = run({"a": [Show(), Look(last)], "b": [Show(), Look(last, times=2)]})
    for label in "ab":
        cost = costs["look", (label,)]
        assert (cost.rows, cost.encoded) == (3, 3)
        assert TAKES <= cost.seconds < 2 * TAKES
    assert costs["show", ()].rows == 3
    assert costs["show", ()].seconds < TAKES


def test_each_batch_and_each_network_counts():
    chains = {"a": [Show(), Look(LastBatch())], "b": [Show(), Look(LastBatch(), kind="b")]}
    costs = run(chains)
    assert [costs["look", (label,)].encoded for label in "ab"] == [3, 3]
    last = LastBatch()
    chain = {"": [Show(), Look(last), Look(last, kind="again")]}
    for _ in range(2):
        batch = [{"key": "1"}]
        for step in side_by_side(chain, "objects"):
            batch = run_step(step, batch)
    assert drain()["look", ()].encoded == 2, "two batches, each encoded once"


def test_a_step_that_others_run_is_charged_once():
    last = LastBatch()
    costs = run({"a": [Show("a"), Look(last)], "b": [Show("b"), Look(last)]})
    outer = [cost for (name, _), cost in costs.items() if "+" in name]
    assert all(cost.seconds < TAKES and not cost.encoded for cost in outer)
    assert sum(cost.encoded for cost in costs.values()) == 6


def test_memory_is_that_of_the_step(monkeypatch):
    @dataclass
    class Fill(Look):
        def __call__(self, rows):
            bytearray(b"1") * 30_000_000
            return super().__call__(rows)

    last = LastBatch()
    costs = run({"a": [Show(), Fill(last)], "b": [Show(), Look(last)]})
    filled, looked = (costs["look", (label,)].working for label in "ab")
    if not filled:
        pytest.skip("this system does not say")
    assert filled > 25e6
    assert looked < 15e6


def test_memory_of_what_they_share_is_charged_to_each():
    @dataclass
    class Large(Look):
        def __call__(self, rows):
            images = [row["image"] for row in rows]
            self.last.get(images, lambda: len(bytearray(b"1") * 30_000_000))
            return [{**row, "objects": []} for row in rows]

    last = LastBatch()
    costs = run({"a": [Show(), Large(last)], "b": [Show(), Large(last, kind="b")]})
    each = [costs["look", (label,)].working for label in "ab"]
    if not any(each):
        pytest.skip("this system does not say")
    assert min(each) > 25e6
