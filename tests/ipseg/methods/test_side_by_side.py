"""Several chains side by side do what each does alone, and what they share they do once."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import WeightsError
from ipseg.methods.side_by_side import side_by_side
from ipseg.objects import Object
from ipseg.rows import Step, check_chain, is_failed
from ipseg.runner import prepare, run_step

MASK = np.ones((1, 1), bool)
# Numbers in place of maps: what chains do with columns does not depend on what is in them.
COLUMNS = ("similarity", "presence")


@dataclass
class Mix(Step):
    """Multiplies one column, adds the other one; refuses some numbers.

    Attributes:
        into: column that it provides, made of itself and of the other of `COLUMNS`.
        factor: of its own column.
        refuses: rest, divided by five, of numbers that it fails on; None for none.
        calls: the number of rows of each call, over all steps of a test.
    """

    into: str
    factor: int
    refuses: int | None = None
    calls: list[int] = field(default_factory=list, compare=False, repr=False)

    name = "mix"

    def __post_init__(self):
        self.requires = (self.into,)
        self.uses = tuple(name for name in COLUMNS if name != self.into)
        self.provides = (self.into,)

    def __call__(self, rows):
        self.calls.append(len(rows))
        return [{**row, self.into: self._mixed(row)} for row in rows]

    def _mixed(self, row):
        number = row[self.into] * self.factor + sum(row[name] for name in self.uses)
        if self.refuses is not None and number % 5 == self.refuses:
            raise ValueError(f"{number} refused")
        return number


@dataclass
class Conclude(Step):
    """An object whose score is the two numbers."""

    concept: str = "cup"
    calls: list[int] = field(default_factory=list, compare=False, repr=False)

    name = "conclude"
    requires = COLUMNS
    provides = ("objects",)

    def __call__(self, rows):
        self.calls.append(len(rows))
        return [{**row, "objects": [self._found(row)]} for row in rows]

    def _found(self, row):
        return Object.of(self.concept, 1, MASK, row["similarity"] * 1000 + row["presence"])


def mixes(refusals):
    return st.builds(
        Mix, st.sampled_from(COLUMNS), st.integers(1, 3), st.none() | st.sampled_from(refusals)
    )


def chains_of(refusals):
    """Label -> chain; steps are few, so that chains often begin alike, or are equal."""
    chain = st.tuples(
        st.lists(mixes(refusals), max_size=4), st.builds(Conclude, st.sampled_from("ab"))
    ).map(lambda parts: [*parts[0], parts[1]])
    return st.dictionaries(st.sampled_from("tuvwxyz"), chain, min_size=1, max_size=5)


rows = st.lists(st.integers(0, 9), min_size=1, max_size=5).map(
    lambda numbers: [{"key": str(i), "similarity": n, "presence": 1} for i, n in enumerate(numbers)]
)


def run(steps, given_rows):
    for step in steps:
        given_rows = run_step(step, given_rows)
    return given_rows


def counted(chains):
    """The same chains with one list of calls."""
    calls: list[int] = []
    for steps in chains.values():
        for step in steps:
            step.calls = calls
    return calls


@given(chains_of([0, 1]), rows, st.integers(0, 2))
def test_each_chain_finds_and_fails_as_it_does_alone(chains, given_rows, heads):
    before = [dict(row) for row in given_rows]
    steps = side_by_side(chains, "objects", heads)
    check_chain(steps, ["key", *COLUMNS])
    together = run(steps, given_rows)
    assert given_rows == before, "no row is edited in place"
    alone = {label: run(chain, given_rows) for label, chain in chains.items()}
    single = len(chains) == 1
    for number, row in enumerate(together):
        each = {label: done[number] for label, done in alone.items()}
        lost = {label: done for label, done in each.items() if is_failed(done)}
        assert is_failed(row) == (len(lost) == len(chains))
        if is_failed(row):
            assert row["error_message"] in {done["error_message"] for done in lost.values()}
            continue
        found = {} if single else {label: [] for label in chains}
        for item in row["objects"]:
            found.setdefault(item.variant, []).append((item.concept, item.score))
        assert {label: items for label, items in found.items() if label not in lost} == {
            "" if single else label: [(item.concept, item.score) for item in done["objects"]]
            for label, done in each.items()
            if label not in lost
        }
        errors = {e["chain"]: e["error_message"] for e in row.get("chain_errors", ())}
        assert errors == {label: done["error_message"] for label, done in lost.items()}


@given(chains_of([None]), rows, st.integers(0, 2))
def test_what_chains_begin_with_alike_runs_once(chains, given_rows, heads):
    calls = counted(chains)
    steps = side_by_side(chains, "objects", heads)
    run(steps, given_rows)
    prefixes = {
        tuple(map(repr, chain[:n])) for chain in chains.values() for n in range(1, len(chain) + 1)
    }
    assert len(calls) == len(prefixes)
    assert set(calls) == {len(given_rows)}, "all rows at once"


@given(chains_of([0, 1, 2]), rows)
def test_rows_do_not_disturb_each_other(chains, given_rows):
    steps = side_by_side(chains, "objects")
    alone = [run(steps, [row])[0] for row in given_rows]
    for one, other in zip(alone, run(steps, given_rows), strict=True):
        assert one == other


def test_one_chain_comes_back_as_it_is():
    chain = [Mix("similarity", 2), Conclude()]
    assert side_by_side({"only": chain}, "objects") == chain


def test_a_row_that_fails_before_chains_part_is_failed_as_ever():
    first = Mix("similarity", 1, refuses=0)
    steps = side_by_side(
        {"a": [first, Conclude("a")], "b": [first, Mix("presence", 2), Conclude("a")]}, "objects"
    )
    bad, good = run(steps, [{"similarity": 4, "presence": 1}, {"similarity": 5, "presence": 1}])
    assert (bad["error_stage"], bad["error_message"]) == ("mix", "5 refused")
    assert "chain_errors" not in bad
    assert [item.variant for item in good["objects"]] == ["a", "b"]


def test_a_row_that_fails_in_one_chain_goes_on_in_the_others():
    chains = {
        "strict": [Mix("similarity", 1, refuses=0), Conclude()],
        "kind": [Mix("similarity", 1), Conclude()],
    }
    (row,) = run(side_by_side(chains, "objects"), [{"similarity": 4, "presence": 1}])
    assert not is_failed(row)
    assert [(item.variant, item.score) for item in row["objects"]] == [("kind", 5001)]
    assert row["chain_errors"] == [
        {
            **{"chain": "strict", "error_stage": "mix"},
            **{"error_type": "ValueError", "error_message": "5 refused"},
        }
    ]


def test_what_comes_after_a_failure_is_not_run():
    chains = {
        "strict": [Mix("similarity", 1, refuses=0), Mix("presence", 2), Conclude()],
        "kind": [Mix("similarity", 3), Mix("presence", 3), Conclude("other")],
    }
    after = chains["strict"][1]
    run(
        side_by_side(chains, "objects"),
        [{"similarity": 4, "presence": 1}, {"similarity": 5, "presence": 1}],
    )
    assert after.calls == [1], "of two rows one was lost"


def test_a_row_that_fails_in_all_chains_fails_with_the_reason_of_the_first():
    chains = {
        "a": [Mix("similarity", 1, refuses=0), Conclude()],
        "b": [Mix("presence", 1, refuses=0), Conclude()],
    }
    (row,) = run(side_by_side(chains, "objects"), [{"similarity": 4, "presence": 1}])
    assert is_failed(row)
    assert row["error_message"] == "5 refused"


@dataclass
class Missing(Mix):
    """A step whose weights are missing."""

    def setup(self):
        raise WeightsError("weights 'a' not found")


def test_a_step_that_cannot_be_set_up_fails_the_rows_of_its_own_chain():
    chains = {
        "there": [Mix("presence", 3), Conclude()],
        "gone": [Missing("presence", 2), Conclude()],
    }
    steps = side_by_side(chains, "objects")
    prepare(steps)
    (row,) = run(steps, [{"key": "a", "similarity": 1, "presence": 1}])
    assert [each.variant for each in row["objects"]] == ["there"]
    (error,) = row["chain_errors"]
    assert error["chain"] == "gone"
    assert error["error_type"] == "WeightsError"
    assert "'a' not found" in error["error_message"]
    with pytest.raises(WeightsError, match="not found"):
        prepare(side_by_side({"": chains["gone"]}, "objects"))


def test_branches_within_branches():
    """A tree of chains: the middle step of two of three runs once."""
    first, middle = Mix("similarity", 2), Mix("presence", 2)
    chains = {
        "a": [first, middle, Mix("similarity", 3), Conclude()],
        "b": [first, middle, Mix("similarity", 3, refuses=4), Conclude()],
        "c": [first, Mix("presence", 3), Conclude()],
    }
    (row,) = run(side_by_side(chains, "objects"), [{"similarity": 1, "presence": 1}])
    assert first.calls == middle.calls == [1]
    assert [(item.variant, item.score) for item in row["objects"]] == [("a", 14005), ("c", 3006)]
    assert [(e["chain"], e["error_message"]) for e in row["chain_errors"]] == [("b", "14 refused")]


def test_equal_chains_run_once_and_both_get_what_is_found():
    chains = {label: [Mix("similarity", 2), Conclude()] for label in ("a", "b")}
    steps = side_by_side(chains, "objects")
    (row,) = run(steps, [{"similarity": 1, "presence": 1}])
    assert [(item.variant, item.score) for item in row["objects"]] == [("a", 3001), ("b", 3001)]
    assert [step.name for step in steps] == ["mix", "conclude", "collect"]
    assert sum(len(step.calls) for chain in chains.values() for step in chain) == 2


def test_a_chain_that_is_the_beginning_of_another():
    first, end = Mix("similarity", 2), Conclude()
    chains = {"short": [first, end], "long": [first, end, Mix("presence", 2), Conclude("other")]}
    (row,) = run(side_by_side(chains, "objects"), [{"similarity": 1, "presence": 1}])
    assert [(item.variant, item.concept, item.score) for item in row["objects"]] == [
        ("short", "cup", 3001),
        ("long", "other", 3005),
    ]


def test_prompts_get_the_label_of_their_chain():
    @dataclass
    class Keep(Step):
        value: int
        name = "keep"
        requires = ("key",)
        provides = ("prompts",)

        def __call__(self, rows):
            return [{**row, "prompts": [{"chain": "", "value": self.value}]} for row in rows]

    (row,) = run(side_by_side({"0": [Keep(1)], "1": [Keep(2)]}, "prompts"), [{"key": "a"}])
    assert row["prompts"] == [{"chain": "0", "value": 1}, {"chain": "1", "value": 2}]


def test_a_chain_without_a_step_is_refused():
    with pytest.raises(ValueError, match="chain 'b' has no step"):
        side_by_side({"a": [Conclude()], "b": []}, "objects")


def test_heads_run_together_from_the_beginning_and_what_follows_from_the_end():
    """Networks that chains share are loaded once where their steps are in the same worker."""
    head, end = [Mix("similarity", n) for n in (1, 2)], Conclude()
    chains = {"short": [head[0], end], "long": [head[1], Mix("presence", 2), end]}

    def levels(heads):
        *steps, _ = side_by_side(chains, "objects", heads)
        return [[branch.step for branch in step.branches] for step in steps]

    middle = chains["long"][1]
    assert levels(1) == [head, [middle], [end, end]]
    assert levels(0) == [[head[1]], [head[0], middle], [end, end]]
