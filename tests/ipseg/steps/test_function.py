"""A plain function as a step."""

import pickle

import pytest

from ipseg.errors import ConfigError
from ipseg.rows import check_chain
from ipseg.runner import run_local
from ipseg.steps.function import FunctionStep


def largest_only(rows):
    """One object each."""
    return [{**row, "objects": row["objects"][:1]} for row in rows]


def size(rows):
    """A column from another."""
    return [{**row, "width": len(row["key"])} for row in rows]


def test_a_function_does_what_a_step_does():
    step = FunctionStep(largest_only)
    assert step.name == "largest_only"
    rows = [{"key": "a", "objects": [3, 2, 1]}, {"key": "b"}, {"key": "c", "objects": []}]
    done = list(run_local([step], rows, batch_size=3))
    assert [row.get("objects") for row in done] == [[3], None, []]
    assert [row.get("error_stage") for row in done] == [None, "largest_only", None]


def test_it_says_what_it_needs_and_gives():
    step = FunctionStep(size, requires=("key",), provides=("width",))
    check_chain([step], ["key"])
    with pytest.raises(ConfigError, match="step 'size' needs column 'key'"):
        check_chain([step], ["uri"])
    assert step([{"key": "abc"}]) == [{"key": "abc", "width": 3}]


def test_it_travels_by_name():
    step = pickle.loads(pickle.dumps(FunctionStep(largest_only)))  # noqa: S301
    assert step == FunctionStep(largest_only)
    assert step.name == "largest_only"
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(FunctionStep(lambda rows: rows))
