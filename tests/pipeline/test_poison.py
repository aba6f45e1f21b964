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

    name: ClassVar[str] = "deadly"
    requires: ClassVar[tuple[str, ...]] = ("objects",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    @property
    def loads_model(self):
        return self.in_actor

    def __call__(self, rows):
        if any(row["key"] in self.keys for row in rows):
            os._exit(139)
        return rows


@pytest.mark.parametrize(("in_actor", "deadly"), [(True, {"07", "15"}), (False, {"07"})])
@pytest.mark.usefixtures("ray_session")
def test_exactly_the_deadly_rows_are_poisoned(rehearsed, contents, tmp_path, in_actor, deadly):
    whole = rehearsed(str(tmp_path / "whole"), KEYS)
    whole.go()
    expected, _ = contents(whole.out)
    runtime = Runtime(batch_size=4, block_rows=8, part_rows=6)
    run = rehearsed(str(tmp_path / "run"), KEYS, engine="ray", runtime=runtime)
    run.steps = [*run.steps, Deadly(tuple(deadly), in_actor)]
    outcome = run.go()
    assert outcome.counts == dict.fromkeys(outcome.counts, 0) | {
        "ok": 24 - len(deadly),
        "poisoned": len(deadly),
    }
    rows, held = contents(run.out)
    assert held == 24
    assert {key for key, row in rows.items() if row["row_status"] == "poisoned"} == deadly
    assert rows["07"]["error_type"] == "PoisonedRow"
    assert "3 workers ended" in rows["07"]["error_message"]
    assert all(rows[key] == expected[key] for key in KEYS if key not in deadly)
    assert run.go().done_now == 0
