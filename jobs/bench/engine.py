"""`ipseg bench --engine`: what the engine itself costs, and what it needs, at any number of rows.

The real pipeline over rows without images: listing, read tasks, pools of actors, tasks, parts and
success files in a scratch folder. Its steps take a known time (`jobs.bench.synthetic`), so whatever
a run takes longer is the engine.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any
from uuid import uuid4

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from jobs.bench.synthetic import CostKind, synthetic_steps
from pipeline.engines.memory import memory
from pipeline.engines.ray_engine import RayEngine
from pipeline.engines.ray_record import RayRecord
from pipeline.planning.calibration import StageCost
from pipeline.planning.estimate import Load, estimate
from pipeline.planning.plan import Plan
from pipeline.process import Work, process
from pipeline.runfolder.sink import OBJECTS, Provenance, ShardWriter
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

LISTED = ("key", "uri")
GIVEN = ("key", "shard", "uri")
WANTED = ("key", "shard", "uri", "width", "height", *OBJECTS)
# Rows that cost milliseconds go in larger batches and blocks than images that cost a second.
RUNTIME = Runtime(batch_size=128, block_rows=512, part_rows=1024, actors=2)
_SAMPLES = 100  # of memory, about; at least a second apart


@dataclass(frozen=True)
class SyntheticRun:
    """What is run.

    Attributes:
        rows: how many.
        match: seconds that the step takes for a row.
        points: the same.
        segment: the same; the bottleneck by default.
        kind: "sleep" waits, as for a GPU; "spin" keeps a core busy.
        runtime: batches, blocks, parts, workers.
    """

    rows: int = 100_000
    match: float = 0.002
    points: float = 0.0001
    segment: float = 0.004
    kind: CostKind = "sleep"
    runtime: Runtime = field(default_factory=lambda: RUNTIME)

    @property
    def seconds(self) -> dict[str, float]:
        """Of a row, by stage."""
        return {"match": self.match, "points": self.points, "segment": self.segment}


class _KnownRecord(RayEngine):
    """An engine whose record exists before its run, so that it can be followed meanwhile."""

    @cached_property
    def known(self) -> RayRecord:
        """The record; making it starts Ray, which is no part of what is measured."""
        return super().record(FailureBudget())

    def record(self, budget: FailureBudget) -> RayRecord:
        """The record of the only run."""
        del budget  # the same
        return self.known


def measure_engine(run: SyntheticRun) -> dict[str, Any]:
    """Runs the pipeline on Ray, with the whole of its bookkeeping, over rows that cost known time.

    Everything is written to a scratch folder of this machine (`TMPDIR`; workers on other machines
    must see it, too) and removed.

    Returns:
        What is written as JSON; memory in bytes. `listing_seconds` went before the streaming, whose
        `seconds` are from the plan, with actors not started, to the last success file.
        `busy_seconds` works each worker of the `bottleneck` ("CPUs" where spinning workers share
        them), `efficiency` is their share of the streaming, and `overhead_seconds_per_row` what it
        takes longer. `stages` are by the run's record, with the seconds that are known; `operators`
        by Ray's own account, their seconds added up over tasks. `memory` has that of the driver and
        of the record's actor at the end, and a curve, whose first sample is before the streaming.

    Raises:
        IpsegError: as `pipeline.process.process`.
    """
    from ray.data import list_stats_summaries

    steps = synthetic_steps(run.match, run.points, run.segment, run.kind)
    with (
        tempfile.TemporaryDirectory(prefix="ipseg-bench-") as out,
        _KnownRecord(run.runtime) as engine,
    ):
        started = time.perf_counter()
        with Spool(LISTED) as spool:
            spool.add({"key": f"{number:09d}", "uri": ""} for number in range(run.rows))
            shards = spool.write(out)
        listing_seconds = time.perf_counter() - started
        source = Source("synthetic", "rows", shards, run.rows, {})
        writer = ShardWriter(out, Provenance(uuid4().hex, "synthetic", "0" * 64, ()))
        work = Work(source, steps, GIVEN, WANTED, writer, run.runtime.part_rows)
        record = engine.known
        plan = engine.plan(steps, (*GIVEN, *ERROR_COLUMNS), WANTED, run.rows)
        pace, slowest, loads = bottleneck(plan, run)
        every = max(1.0, run.rows * pace / _SAMPLES)
        with _ray_counting(), _sampled(record, every) as curve:
            outcome = process(engine, work, FailureBudget())
        seconds, busy, known = outcome.seconds, run.rows * pace, {load.name: load for load in loads}
        return {
            "rows": run.rows,
            "kind": run.kind,
            "cpus": plan.cluster.cpus,
            "runtime": asdict(run.runtime),
            "listing_seconds": listing_seconds,
            "seconds": seconds,
            "rows_per_second": run.rows / seconds,
            "bottleneck": slowest,
            "busy_seconds": busy,
            "efficiency": busy / seconds,
            "overhead_seconds_per_row": (seconds - busy) / run.rows,
            "stages": [
                {
                    **stage,
                    "workers": known[stage["stage"]].workers,
                    "rows_per_second": stage["rows"] / seconds,
                    "known_seconds": run.rows * known[stage["stage"]].seconds_per_row,
                }
                for stage in outcome.stages
            ],
            "operators": _operators(list_stats_summaries()[-1]),
            "memory": {
                "driver": asdict(memory()),
                "record": asdict(record.memory()),
                "curve": curve,
            },
        }


@contextmanager
def _ray_counting() -> Iterator[None]:
    """Has Ray Data keep its own account of what the body executes."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = context.enable_stats_summary_collection
    context.enable_stats_summary_collection = True
    try:
        yield
    finally:
        context.enable_stats_summary_collection = before


def bottleneck(plan: Plan, run: SyntheticRun) -> tuple[float, str, tuple[Load, ...]]:
    """What would set the pace if the engine cost nothing.

    Returns:
        Seconds between two rows; the stage, or the "CPUs" that spinning workers share; all stages.
    """
    costs = {name: StageCost(seconds, 0.0) for name, seconds in run.seconds.items()}
    ideal = estimate(plan, costs, run.rows)
    limits = [*ideal.stages]
    if run.kind == "spin":  # who sleeps needs no core
        limits += ideal.shared
    slowest = max(limits, key=lambda load: load.seconds_per_row / load.workers)
    return slowest.seconds_per_row / slowest.workers, slowest.name, ideal.stages


@contextmanager
def _sampled(record: RayRecord, every: float) -> Iterator[list[dict[str, float]]]:
    """Takes a sample of the memory now and then while the body runs."""
    started, stop = time.perf_counter(), threading.Event()

    def sample() -> dict[str, float]:
        stages = record.summary()
        rows = stages[-1]["rows"] if stages else 0
        now = {"driver": memory().now, "record": record.memory().now}
        return {"seconds": time.perf_counter() - started, "rows": rows, **now}

    curve = [sample()]

    def follow() -> None:
        while not stop.wait(every):
            curve.append(sample())

    thread = threading.Thread(target=follow, name="memory", daemon=True)
    thread.start()
    try:
        yield curve
    finally:
        stop.set()
        thread.join()
    curve.append(sample())


def _operators(summary: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (Ray does not export its type)
    """Those of Ray Data in order; a name is several where Ray has fused operators."""
    before = [operator for parent in summary.parents for operator in _operators(parent)]
    here = [
        {
            "name": each.operator_name,
            "tasks": each.task_rows.count,
            "blocks": each.output_num_rows.count,
            "bytes": int(each.output_size_bytes.sum),
            "seconds": each.wall_time.sum,
        }
        for each in summary.operators_stats
        if each.output_num_rows is not None
    ]
    return [*before, *here]
