"""A row that ends every worker that touches it is found, marked, and costs no other row."""

import os
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ipseg.config import Runtime
from ipseg.rows import Step

KEYS = [f"{n:02d}" for n in range(24)]


@dataclass
class Deadly(Step):
    """Ends its process on some keys, as a segmentation fault would."""

    keys: tuple[str, ...]
    in_actor: bool

    requires: ClassVar[tuple[str, ...]] = ("objects",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    @property
    def name(self):
        return "in actor" if self.in_actor else "in task"

    @property
    def loads_model(self):
        return self.in_actor

    def __call__(self, rows):
        if any(row["key"] in self.keys for row in rows):
            os._exit(139)
        return rows


@pytest.mark.usefixtures("ray_session")
def test_exactly_the_deadly_rows_are_poisoned(rehearsed, contents, tmp_path):
    whole = rehearsed(str(tmp_path / "whole"), KEYS)
    whole.go()
    expected, _ = contents(whole.out)
    runtime = Runtime(batch_size=4, block_rows=8, part_rows=6)
    run = rehearsed(str(tmp_path / "run"), KEYS, engine="ray", runtime=runtime)
    deadly = {"07": "in actor", "15": "in task"}
    run.steps = [*run.steps, Deadly(("07",), in_actor=True), Deadly(("15",), in_actor=False)]
    outcome = run.go()
    assert outcome.counts == dict.fromkeys(outcome.counts, 0) | {"ok": 22, "poisoned": 2}
    rows, held = contents(run.out)
    assert held == 24
    poisoned = {key: row for key, row in rows.items() if row["row_status"] == "poisoned"}
    assert {key: row["error_stage"] for key, row in poisoned.items()} == deadly
    for row in poisoned.values():
        assert row["error_type"] == "PoisonedRow"
        assert "3 workers ended" in row["error_message"]
    assert all(rows[key] == expected[key] for key in KEYS if key not in deadly)
    assert run.go().done_now == 0
