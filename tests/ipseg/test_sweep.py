"""Which maps, points and masks of a row belong to which setting and entry."""

from dataclasses import replace

import pytest

from ipseg.bank import Concept, PromptBank
from ipseg.config import load_config
from ipseg.sweep import Finish, Look, Sweep

CONFIG = load_config("classical")


def look(*entries):
    concepts = tuple(Concept(name, n, {}, ()) for n, name in enumerate(entries, start=1))
    return Look(PromptBank(concepts, ""), {"classical": 1.0}, CONFIG.matching)


def finish(variant, number):
    return Finish(variant, number, CONFIG.points, CONFIG.refinement, CONFIG.scoring)


@pytest.fixture
def sweep():
    """Of two looks the second could not make anything of the supports of "b"."""
    looks = (look("a", "b", "c"), look("c", "a"))
    return Sweep(looks, (finish("k=8", 0), finish("given", 1), finish("k=32", 0)))


def test_maps_are_ordered_by_look_and_masks_by_finish(sweep):
    asked = [(f.variant, entry, index) for f, entry, index in sweep.asked(["b", "a"])]
    assert asked == [
        *(("k=8", "b", 0), ("k=8", "a", 1)),
        ("given", "a", 2),
        *(("k=32", "b", 0), ("k=32", "a", 1)),
    ]


def test_a_finish_takes_the_maps_of_its_look(sweep):
    first, second, third = sweep.finishes
    assert sweep.maps_of(first, ["b", "a"]) == sweep.maps_of(third, ["b", "a"]) == slice(0, 2)
    assert sweep.maps_of(second, ["b", "a"]) == slice(2, 3)
    assert sweep.maps_of(second, ["b"]) == slice(1, 1)
    assert sweep.known(second, ["b"]) == []


def test_entries_keep_the_order_in_which_a_row_asks_for_them(sweep):
    assert sweep.looks[1].known(["a", "b", "c"]) == ["a", "c"]
    assert replace(sweep.looks[1], weights={}).known(["c", "a"]) == ["c", "a"]
