"""The local engine works on several batches at a time, and nobody can see it from the rows."""

import threading
import time
from dataclasses import dataclass, field

import joblib
import pytest

from ipseg.config import Runtime
from ipseg.objects import Object
from ipseg.rows import Row, Step
from pipeline.engines.local_engine import MOST_THREADS
from pipeline.runfolder.parts import part_files, read_batches

THREADS = min(joblib.cpu_count(), MOST_THREADS)


@dataclass
class Counted(Step):
    """Counts how many threads are in it at a time; the first rows take longest."""

    safe: bool
    at_once: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    name = "counted"
    requires = ("key",)
    provides = ("objects", "width", "height")

    @property
    def thread_safe(self) -> bool:
        return self.safe

    def __call__(self, rows: list[Row]) -> list[Row]:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.2 / (1 + int(rows[0]["key"])))
        with self.lock:
            self.at_once -= 1
        empty = {"objects": list[Object](), "width": 1, "height": 1}
        return [{**row, **empty} for row in rows]


@pytest.mark.parametrize("safe", [True, False])
def test_rows_come_in_order_from_as_many_threads_as_the_steps_allow(keys_run, tmp_path, safe):
    step, keys = Counted(safe), [f"{number:03}" for number in range(40)]
    runtime = Runtime(part_rows=10, batch_size=2)
    run = keys_run(str(tmp_path / "run"), keys, [step], runtime=runtime, shards=1)
    assert run.go().counts["empty"] == 40
    assert step.most == (THREADS if safe else 1)
    parts = sorted(
        [key for batch in read_batches(part, ["key"]) for key in batch["key"].to_pylist()]
        for part in part_files(run.out)
    )
    assert parts == [keys[first : first + 10] for first in range(0, 40, 10)]
