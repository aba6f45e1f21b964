"""The stages on Ray Data: read tasks, pools of actors, tasks, write tasks."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's C++ parts print errors that are none to the user's terminal (ray-project/ray#53727). Whoever
# looks into Ray itself sets this to "info".
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasink, Datasource, ReadTask, WriteResult

from ipseg.columns import from_table, to_table
from ipseg.config import Runtime
from ipseg.rows import Row, Step
from ipseg.runner import prepare
from pipeline.plan import Plan, StagePlan, make_plan
from pipeline.progress import show_progress
from pipeline.record import Recorder, RunRecord
from pipeline.sink import ShardWriter
from pipeline.source import Shard, Source
from pipeline.stage import Stage, build_stages, run_stage

log = logging.getLogger("ipseg")

# Ray guards a session it starts with a token and says so each time; nobody has to act on it.
_SESSION_NOTICE = "ray._private.authentication.authentication_token_setup"
READ_ROWS = 32  # rows in one block of a read task; encoded pictures are large


class RayEngine:
    """Runs steps as Ray Data stages. A context: Ray runs, or is joined, while it is open.

    Attributes:
        record: what has been done so far.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._started = False

    def __enter__(self) -> RayEngine:
        """Starts Ray, or joins the session that is there (RAY_ADDRESS, or `ray.init` before)."""
        logging.getLogger(_SESSION_NOTICE).setLevel(logging.ERROR)
        if not ray.is_initialized():
            ray.init(
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
            self._started = True
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self.record: Recorder = RayRecord()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops Ray if it was started here."""
        if self._started:
            ray.shutdown()

    def plan(self, steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]) -> Plan:
        """Stages of the steps, fitted to the cluster."""
        stages = build_stages(steps, given, wanted)
        return make_plan(stages, ray.cluster_resources(), self._runtime)

    def collect(
        self,
        steps: Sequence[Step],
        rows: Sequence[Row],
        given: Sequence[str],
        wanted: Sequence[str],
    ) -> list[Row]:
        """Runs a few rows (prompts) through the steps and brings them back to the driver."""
        plan = self.plan(steps, given, wanted)
        # A record of its own: the run's is about images.
        dataset = _staged(ray.data.from_arrow(to_table(rows, given)), plan, RayRecord())
        blocks = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        return [row for block in blocks for row in from_table(block)]

    def write(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        writer: ShardWriter,
    ) -> Counter[str]:
        """Streams a source through the steps to the sink; returns rows written, by status."""
        plan = self.plan(steps, given, wanted)
        for line in plan.lines():
            log.info("%s", line)
        sink = _PartSink(writer, self._runtime.part_rows)
        read = ray.data.read_datasource(
            _ShardSource(source.shards, tuple(given), self.record),
            num_cpus=plan.task_cpus,
            override_num_blocks=len(source.shards),
        )
        # Write tasks wait until a part is full; the last model's stage tells how far things are.
        last = [each.stage.name for each in plan.stages if each.stage.actor][-1]
        with show_progress("segmenting", source.rows, lambda: self.record.rows(last)):
            _staged(read, plan, self.record).write_datasink(
                sink, ray_remote_args={"num_cpus": plan.task_cpus}
            )
        return sink.counts


class RayRecord:
    """A `RunRecord` in an actor of its own; picklable, each call waits until it is counted."""

    def __init__(self) -> None:
        self._actor: Any = ray.remote(num_cpus=0)(RunRecord).remote()

    def shard_read(self, shard: str, rows: int) -> None:
        """As `RunRecord.shard_read`."""
        ray.get(self._actor.shard_read.remote(shard, rows))

    def rows_read(self) -> int:
        """As `RunRecord.rows_read`."""
        rows: int = ray.get(self._actor.rows_read.remote())
        return rows

    def add(self, stage: str, rows: int, seconds: float, row_bytes: int, image_bytes: int) -> None:
        """As `RunRecord.add`."""
        ray.get(self._actor.add.remote(stage, rows, seconds, row_bytes, image_bytes))

    def rows(self, stage: str) -> int:
        """As `RunRecord.rows`."""
        rows: int = ray.get(self._actor.rows.remote(stage))
        return rows

    def summary(self) -> list[dict[str, Any]]:
        """As `RunRecord.summary`."""
        summary: list[dict[str, Any]] = ray.get(self._actor.summary.remote())
        return summary


def _staged(dataset: Dataset, plan: Plan, record: Recorder) -> Dataset:
    # A whole read block goes to one worker, so blocks are cut small before the first stage.
    dataset = dataset.repartition(target_num_rows_per_block=plan.block_rows)
    for planned in plan.stages:
        if planned.stage.actor:
            dataset = dataset.map_batches(
                _actor_class(planned),
                fn_constructor_args=(planned.stage, record),
                compute=ActorPoolStrategy(size=planned.workers),
                num_cpus=planned.cpus,
                num_gpus=planned.gpus or None,
                batch_size=plan.batch_size,
                batch_format="pyarrow",
                udf_modifying_row_count=False,
            )
        else:
            dataset = dataset.map_batches(
                _run_in_task,  # type: ignore[arg-type]  # its type knows no fn_args
                fn_args=(planned.stage, record),
                num_cpus=planned.cpus,
                batch_size=plan.batch_size,
                batch_format="pyarrow",
                udf_modifying_row_count=False,
            )
    return dataset


class _StageActor:
    def __init__(self, stage: Stage, record: Recorder) -> None:
        prepare(stage.steps)
        self._stage, self._record = stage, record

    def __call__(self, table: pa.Table) -> pa.Table:
        return run_stage(self._stage, self._record, table)


def _actor_class(planned: StagePlan) -> type:
    """A class named after the stage, so that Ray's own tools show what runs where."""
    return type(f"{planned.stage.name.title()}Actor", (_StageActor,), {})


def _run_in_task(table: pa.Table, stage: Stage, record: Recorder) -> pa.Table:
    prepare(stage.steps)
    return run_stage(stage, record, table)


class _ShardSource(Datasource):
    """One read task for each shard of a source."""

    def __init__(self, shards: Sequence[Shard], columns: tuple[str, ...], record: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shards, self._columns, self._record = shards, columns, record

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown before reading."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """One for each shard, whatever the parallelism: a shard is read in one go."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        schema = to_table([], self._columns).schema
        return [
            ReadTask(_ShardReader(shard, self._columns, self._record), unknown, schema)
            for shard in self._shards
        ]


@dataclass(frozen=True)
class _ShardReader:
    """Yields a shard's rows as Arrow blocks, and notes at its end how many there were."""

    shard: Shard
    columns: tuple[str, ...]
    record: Recorder

    def __call__(self) -> Iterator[pa.Table]:
        rows = self.shard.read()
        total = 0
        while block := list(islice(rows, READ_ROWS)):
            total += len(block)
            yield to_table(block, self.columns)
        self.record.shard_read(self.shard.id, total)


class _PartSink(Datasink[Counter[str]]):
    """Hands blocks to a `ShardWriter`; a write that is repeated replaces its own parts."""

    def __init__(self, writer: ShardWriter, part_rows: int) -> None:
        self._writer, self._part_rows = writer, part_rows
        self.counts: Counter[str] = Counter()

    @property
    def min_rows_per_write(self) -> int:
        """Rows in one part."""
        return self._part_rows

    def write(self, blocks: Iterable[pa.Table], ctx: object) -> Counter[str]:
        """Writes the rows of these blocks."""
        return self._writer.write([row for block in blocks for row in from_table(block)])

    def on_write_complete(self, write_result: WriteResult[Counter[str]]) -> None:
        """Adds up what the write tasks wrote."""
        for counts in write_result.write_returns:
            self.counts.update(counts)
