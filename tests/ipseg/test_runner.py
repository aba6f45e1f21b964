import os
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ConfigError
from ipseg.rows import ERROR_MESSAGE_LENGTH, Step, check_chain, failed
from ipseg.runner import run_local, run_step


@dataclass
class Halve(Step):
    """Fails on odd numbers, like a real step on a bad image: for the whole batch."""

    calls: int = 0
    name: ClassVar[str] = "halve"
    requires: ClassVar[tuple[str, ...]] = ("number",)
    provides: ClassVar[tuple[str, ...]] = ("half",)

    def __call__(self, rows):
        self.calls += 1
        for row in rows:
            if row["number"] % 2:
                raise ValueError(f"{row['number']} is odd")
        return [{**row, "half": row["number"] // 2} for row in rows]


class Quarter(Halve):
    name = "quarter"
    requires = ("half",)
    provides = ("quarter",)

    def __call__(self, rows):
        return [{**row, "quarter": row["half"] / 2} for row in rows]


@given(numbers=st.lists(st.integers(0, 1000)), batch=st.integers(1, 9))
def test_one_row_out_for_each_row_in_and_only_the_bad_ones_fail(numbers, batch):
    rows = [{"key": str(i), "number": n} for i, n in enumerate(numbers)]
    done = list(run_local([Halve(), Quarter()], rows, batch))
    assert [row["key"] for row in done] == [row["key"] for row in rows]
    for row in done:
        if row["number"] % 2:
            assert (row["error_stage"], row["error_type"]) == ("halve", "ValueError")
            assert row["error_message"] == f"{row['number']} is odd"
            assert "half" not in row
        else:
            assert row["quarter"] == row["number"] / 4
            assert "error_stage" not in row


def test_a_good_batch_costs_one_call():
    step = Halve()
    run_step(step, [{"number": n} for n in range(0, 64, 2)])
    assert step.calls == 1


def test_rows_that_failed_before_pass_by():
    broken = failed({"number": 2}, "read", OSError("gone"))
    assert run_step(Halve(), [broken, {"number": 4}]) == [broken, {"number": 4, "half": 2}]


def test_a_step_that_loses_a_row_is_a_bug_not_a_failed_row():
    class Lossy(Halve):
        def __call__(self, rows):
            return rows[1:]

    with pytest.raises(RuntimeError, match="returned 1 rows for 2"):
        run_step(Lossy(), [{"number": 2}, {"number": 4}])


def test_interruption_is_not_swallowed():
    class Interrupted(Halve):
        def __call__(self, rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(Interrupted(), [{"number": 2}])


def test_long_messages_are_cut_and_empty_ones_filled():
    assert len(failed({}, "s", ValueError("x" * 9999))["error_message"]) == ERROR_MESSAGE_LENGTH
    assert failed({}, "s", MemoryError())["error_message"] == "MemoryError"


def test_a_chain_in_the_wrong_order_is_refused_with_the_reason():
    check_chain([Halve(), Quarter()], ["number"])
    with pytest.raises(ConfigError, match="'quarter' needs column 'half'; step 'halve' provides"):
        check_chain([Quarter(), Halve()], ["number"])
    with pytest.raises(ConfigError, match="'halve' needs column 'number'"):
        check_chain([Halve()], [])


def test_libraries_use_as_many_threads_as_they_are_given():
    code = (
        "import numpy, torch, sklearn.cluster, threadpoolctl; from ipseg.runner import prepare; "
        "prepare([], threads=1); pools = threadpoolctl.threadpool_info(); "
        "print(len(pools) > 1, {pool['num_threads'] for pool in pools}, torch.get_num_threads())"
    )
    several = {**os.environ, "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=several,
    )
    assert done.stdout.split("\n")[0] == "True {1} 1"
