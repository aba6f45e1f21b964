from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.bank import Bank, Entry, PromptsInMemory, RecentlyUsed
from ipseg.errors import PromptError
from ipseg.rows import failed


@dataclass
class Named(Bank):
    """A bank of names; `broken` of them cannot be looked for."""

    names: tuple[str, ...]
    broken: dict[str, str] = field(default_factory=dict)

    identity = ("named",)

    @property
    def categories(self):
        return {name: number for number, name in enumerate(self.names, start=1)}

    def features(self, concept):
        return {"length": np.array(len(concept))}

    def failure(self, concept):
        return self.broken.get(concept)


def asks(*concepts):
    return {"asks": [{"concept": concept, "episode": n} for n, concept in enumerate(concepts)]}


names = st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=6).map(sorted)


@given(st.data(), names)
def test_a_row_gets_the_entries_it_asks_for_each_once_in_its_order(data, known):
    bank = Named(tuple(known))
    wanted = data.draw(st.lists(st.sampled_from(known), max_size=8)) if known else []
    found = bank.asked(asks(*wanted))
    assert [entry.concept for entry in found] == list(dict.fromkeys(wanted))
    assert all(bank.categories[entry.concept] == entry.category_id for entry in found)


@given(names)
def test_a_row_that_names_none_asks_for_all(known):
    bank = Named(tuple(known))
    every = [Entry(name, number, bank) for number, name in enumerate(known, start=1)]
    assert bank.asked({}) == bank.asked({"asks": None}) == every
    assert bank.asked({"asks": []}) == []


def test_what_cannot_be_used_is_left_out_and_what_is_unknown_is_an_error():
    bank = Named(("cat", "cup", "mug"), {"cup": "its prompt is empty"})
    assert [entry.concept for entry in bank.asked({})] == ["cat", "mug"]
    assert [entry.concept for entry in bank.asked(asks("mug", "cup"))] == ["mug"]
    with pytest.raises(PromptError, match="the bank has no entry 'dog'"):
        bank.asked(asks("mug", "dog"))


def test_the_features_of_an_entry_are_read_when_they_are_used():
    (entry,) = Named(("cup",)).asked({})
    assert entry.features["length"] == 3


def prompt(key, concept, *values, chain=""):
    return {
        "key": key,
        "uri": f"/prompts/{key}",
        "concept": concept,
        "prompts": [{"chain": chain, "features": {"v": np.array(v)}} for v in values],
    }


def together(shots):
    return {"v": np.stack([shot["v"] for shot in shots])}


PROMPTS = [prompt("mug/2", "mug", 2), prompt("cup", "cup", 3), prompt("mug/1", "mug", 1)]


@given(st.permutations(PROMPTS))
def test_concepts_are_in_order_of_names_and_prompts_in_order_of_keys(rows):
    bank = PromptsInMemory(rows, together)
    assert bank.categories == {"cup": 1, "mug": 2}
    assert bank.features("cup")["v"].tolist() == [3]
    assert bank.features("mug")["v"].tolist() == [1, 2]
    assert bank.failure("cup") is None


def test_each_chain_has_its_own_features():
    row = prompt("cup", "cup", 5, chain="0")
    row["prompts"] += prompt("cup", "cup", 7, chain="1")["prompts"]
    values = [PromptsInMemory([row], together, chain).features("cup")["v"] for chain in "01"]
    assert [value.tolist() for value in values] == [[5], [7]]


def test_a_prompt_that_failed_is_named_with_its_reason():
    rows = [*PROMPTS, failed(prompt("dog", "dog"), "support", PromptError("it is empty"))]
    with pytest.raises(PromptError, match="prompt /prompts/dog cannot be used: it is empty"):
        PromptsInMemory(rows, together)


def test_two_banks_are_two_even_of_the_same_prompts():
    one, other = (PromptsInMemory(PROMPTS, together) for _ in range(2))
    assert one.identity == one.identity != other.identity


@given(
    limit=st.integers(0, 40),
    uses=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 25)), max_size=40),
)
def test_what_was_used_last_is_kept_as_far_as_memory_allows(limit, uses):
    cache = RecentlyUsed(limit)
    sizes: dict[int, int] = {}
    kept: list[int] = []  # least recently used first
    for key, size in uses:
        read = []

        def arrays(key=key, size=size, read=read):
            read.append(key)
            return {"of": np.array([key], np.int8), "more": np.zeros(size, np.uint8)}

        assert cache.get(key, arrays)["of"] == key
        assert read == ([] if key in kept else [key])
        if key in kept:
            kept.remove(key)
        else:
            sizes[key] = size + 1
        kept.append(key)
        while sum(sizes[each] for each in kept) > limit and len(kept) > 1:
            kept.pop(0)
        assert cache.held == sum(sizes[each] for each in kept)
        assert cache.held <= limit or len(kept) == 1


def test_what_could_not_be_read_is_read_again():
    cache = RecentlyUsed(100)

    def gone():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cache.get("cup", gone)
    assert cache.held == 0
    assert cache.get("cup", lambda: {"v": np.zeros(3)})["v"].size == 3


def test_threads_that_read_the_same_at_the_same_time_keep_one():
    cache, both = RecentlyUsed(1000), Barrier(2)

    def read():
        both.wait(10)  # each has seen that it is not there
        return {"v": np.zeros(10, np.uint8)}

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: cache.get("cup", read), range(2))
    assert one is other
    assert cache.held == 10
