"""Synthetic work with faults built in, in this process or as a program of its own.

python tests/chaos/driver.py '{"out": "run", "seen": "seen.txt", "engine": "local"}'
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from dataclasses import asdict, dataclass, replace
from uuid import uuid4

import hurt

from ipseg.config import Runtime
from ipseg.rows import Step
from jobs.bench.synthetic import synthetic_steps
from jobs.signals import stopped_in_order
from pipeline.engines import progress
from pipeline.engines.choice import EngineName
from pipeline.process import Outcome, Work, engine_for, process
from pipeline.runfolder.finished import Retry
from pipeline.runfolder.lease import Lease
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget


@dataclass(frozen=True)
class Job:
    """What to do; started again, it goes on. Plain data, so that it can be handed to a program.

    Attributes:
        out: run folder.
        seen: file in which the keys are written down that were worked on.
        rows: number of keys.
        engine: "ray" or "local".
        seconds: for a row, in each of the two steps that stand for models.
        shards: into which the keys are cut, a power of two.
        batch_size: as in `Runtime`.
        block_rows: as in `Runtime`.
        part_rows: as in `Runtime`.
        marks: folder in which workers say that they load a model; "" loads none.
        deadly: keys that end their process.
        in_actor: whether they end an actor's or a task's.
        retry: as `ipseg segment --retry`.
        stall_seconds: as in `Runtime`.
    """

    out: str
    seen: str
    rows: int = 200
    engine: EngineName = "ray"
    seconds: float = 0.004
    shards: int = 4
    batch_size: int = 4
    block_rows: int = 8
    part_rows: int = 8
    marks: str = ""
    deadly: tuple[str, ...] = ()
    in_actor: bool = False
    retry: str | None = None
    stall_seconds: float = 60.0

    @property
    def keys(self) -> list[str]:
        """All keys of the collection."""
        return [f"{number:05}.jpg" for number in range(self.rows)]

    def steps(self) -> list[Step]:
        """The synthetic steps, with a witness in the middle."""
        match, points, segment = synthetic_steps(self.seconds, 0.0, self.seconds)
        if self.marks:
            segment = hurt.LoadingSegment(self.seconds, marks=self.marks)
        steps = [match, points, hurt.Witness(self.seen), segment]
        if self.deadly:
            steps.append(hurt.Deadly(tuple(self.deadly), self.in_actor))
        return steps

    def do(self) -> Outcome:
        """Starts the work, or goes on with it."""
        if self.engine == "ray":
            from ray import cloudpickle

            cloudpickle.register_pickle_by_value(hurt)  # workers need not find it
        run_id, budget = uuid4().hex, FailureBudget()
        runtime = Runtime(
            batch_size=self.batch_size,
            block_rows=self.block_rows,
            part_rows=self.part_rows,
            stall_seconds=self.stall_seconds,
        )
        with Lease(self.out, run_id), Spool(("key", "uri")) as spool:
            spool.add({"key": key, "uri": ""} for key in self.keys)
            shards = spool.write(self.out, self.shards)
            work = Work(
                Source("keys", "images", shards, self.rows, {}),
                self.steps(),
                ("key", "shard", "uri"),
                ("key", "shard", "uri", "width", "height", "objects"),
                ShardWriter(self.out, Provenance(run_id, "synthetic", "0" * 64, ())),
                self.part_rows,
                None if self.retry is None else Retry.parse(self.retry),
            )
            with engine_for(self.engine, runtime) as engine:
                return process(engine, work, budget)

    def again(self, **more: object) -> Job:
        """The same job, started another time: what it works on is written down apart."""
        return replace(self, seen=f"{self.seen}-again", **more)

    def to_json(self) -> str:
        """What the program takes."""
        return json.dumps(asdict(self))


def main() -> None:
    """Does the job that is given as JSON; reports and ends on a signal as `ipseg` does."""
    progress.FIRST_LINE_SECONDS = progress.LINE_SECONDS = 0.1
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("ipseg").setLevel(logging.INFO)
    with stopped_in_order():
        outcome = Job(**json.loads(sys.argv[1])).do()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it comes too late
    print(json.dumps({"before": outcome.before, "done_now": outcome.done_now}))  # noqa: T201


if __name__ == "__main__":
    main()
