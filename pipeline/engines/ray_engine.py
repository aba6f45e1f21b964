"""The stages on Ray Data: read tasks, pools of actors, tasks; and tasks that write."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import islice
from typing import ClassVar, cast

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from ipseg.config import Runtime
from ipseg.errors import IpsegError, OutputError, StallError
from ipseg.parts import own_modules
from ipseg.rows import Step
from pipeline.engines.aside import aside
from pipeline.engines.choice import EngineName
from pipeline.engines.cutting import cut
from pipeline.engines.local_engine import LocalEngine
from pipeline.engines.progress import show_progress
from pipeline.engines.ray_io import PartTasks, ShardSource
from pipeline.engines.ray_record import RayRecord
from pipeline.engines.ray_session import end_session, session_is_there, start_session
from pipeline.engines.ray_worker import actor_class, run_in_task
from pipeline.engines.shard_io import ShardIO
from pipeline.engines.unwritten import Unwritten
from pipeline.planning.calibration import balanced, calibration_rows
from pipeline.planning.cluster import Cluster, see_cluster
from pipeline.planning.plan import Plan, make_plan
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.stage import Stage, build_stages

log = logging.getLogger("ipseg")

FEW_IN_DRIVER = 32
_SETUP_DEATHS = 3  # workers of a stage that may die one after the other while they load models


class RayEngine:
    """Runs steps as Ray Data stages. A context, which ends the Ray that was started for it."""

    name: ClassVar[EngineName] = "ray"

    def __init__(self, runtime: Runtime, *, calibrated: bool = False) -> None:
        self._runtime, self._calibrated = runtime, calibrated
        self._started = False

    def __enter__(self) -> RayEngine:
        """Ray itself starts with the first work: a run that is finished already needs none."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Ends Ray if it was started here, after a good end beside what comes next.

        Where the process is about to end, Ray ends with it: tasks may be under way.
        """
        if self._started and not isinstance(error, SystemExit):
            end_session(at_once=error is not None)

    def record(self, budget: FailureBudget) -> RunRecord:
        """A new record of a run."""
        self._start()
        return cast(RunRecord, RayRecord(budget))

    def check(
        self, steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]
    ) -> list[Stage]:
        """The stages of the steps, which fit the cluster.

        Raises:
            PlanError: they do not.
        """
        return [each.stage for each in self.plan(steps, given, wanted).stages]

    def for_few(self, steps: Sequence[Step], rows: int) -> RayEngine | LocalEngine:
        """The engine for few rows: this process, where no step has a network for a GPU.

        A pass of Ray Data takes seconds to start its workers.
        """
        networks = any(step.resources.gpu_memory_gb for step in steps)
        return self if networks or rows > FEW_IN_DRIVER else LocalEngine(self._runtime)

    def _start(self) -> None:
        if not (started := start_session()):
            gc.collect()  # the actors of an execution that failed live on in reference cycles
        self._started |= started
        for module in own_modules():  # no worker has to have them installed
            ray.cloudpickle.register_pickle_by_value(module)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = self._runtime.stall_seconds
        context.max_consecutive_actor_init_deaths = _SETUP_DEATHS
        context.raise_original_map_exception = True
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it says is raised as well
        # Of a collection with fewer blocks than slots, which nobody has to do anything about.
        warnings.filterwarnings("ignore", "The maximum number of concurrent tasks", UserWarning)

    def plan(
        self,
        steps: Sequence[Step],
        given: Sequence[str],
        wanted: Sequence[str],
        rows: int | None = None,
    ) -> Plan:
        """Stages of the steps, fitted to the cluster and to the number of rows, if it is known.

        Raises:
            PlanError: they do not fit; found before Ray is started where it would be for this run.
        """
        stages = build_stages(steps, given, wanted)
        if not session_is_there():
            # Ray takes no more than these; whether there are cards it has to say itself.
            make_plan(stages, {"CPU": os.cpu_count() or 1}, self._runtime)
        return make_plan(stages, self._cluster, self._runtime, rows=rows)

    @cached_property
    def _cluster(self) -> Cluster:
        self._start()
        return see_cluster(self._runtime.gpu_card_gb)

    def stream(
        self,
        steps: Sequence[Step],
        source: Source,
        given: Sequence[str],
        wanted: Sequence[str],
        shard_io: ShardIO,
    ) -> None:
        """Streams what is left of a source through the steps to the shards.

        Raises:
            IpsegError: what went wrong, as far as a person can do something about it.
        """
        plan = self.plan(steps, given, wanted, source.rows)
        if self._calibrated:
            first = list(islice(source.read(), calibration_rows(self._runtime.batch_size)))
            log.info("measuring the stages on %d rows", len(first))
            plan, _ = balanced(plan, first, self._runtime, source.rows)
        for line in plan.lines():
            log.info("%s", line)
        read = ray.data.read_datasource(
            ShardSource(source.shards, tuple(given), shard_io),
            num_cpus=plan.task_cpus,
            compute=_reading(plan),
            override_num_blocks=len(source.shards),
        )
        record = shard_io.record
        parts = PartTasks(shard_io, at_once=plan.slots)
        unwritten = Unwritten[ray.ObjectRef[pa.Table]](
            shard_io, self._runtime.flush_seconds, parts.write, parts.settle
        )
        progress = show_progress(source.kind, source.rows, record, lambda: unwritten.done)
        results = _staged(read, plan, record).iter_internal_ref_bundles
        # Within: what is done is written while the execution still runs. Ray Data would first
        # cancel its tasks, and Ray may end the process over a task that has just been submitted.
        with _own_errors(record), progress, aside(results) as bundles, unwritten:
            for bundle in bundles:
                for block in bundle.blocks:
                    unwritten.add(block.ref, block.metadata.num_rows or 0)


@contextmanager
def _own_errors(record: RunRecord) -> Iterator[None]:
    """Turns Ray's account of an error into the error itself, where it is one of ours."""
    try:
        yield
    except ExecutionTimeoutError as error:
        at_work = record.at_work()
        doing = f"at work: {', '.join(at_work)}" if at_work else "no worker had anything to do"
        raise StallError(
            f"nothing moved any more ({doing}); {error}. What is written is kept: start the same "
            f"command again, or raise runtime.stall_seconds if steps may take that long"
        ) from error
    except RayError as error:
        cause = _root(error)
        if isinstance(cause, IpsegError):
            raise cause from error
        if isinstance(cause, OSError):
            raise OutputError(
                f"{cause}; what is written is kept: fix this and start the same command again"
            ) from error
        raise


def _root(error: BaseException) -> BaseException:
    """The exception that a worker raised first."""
    while True:
        inner = error.cause if isinstance(error, RayTaskError) else error.__cause__
        if not isinstance(inner, BaseException) or inner is error:
            return error
        error = inner


def _reading(plan: Plan) -> TaskPoolStrategy:
    """Tasks that may read at a time: half the slots, so that what is read can also be worked on."""
    return TaskPoolStrategy(plan.slots // 2)


def _staged(dataset: Dataset, plan: Plan, record: RunRecord) -> Dataset:
    dataset = cut(dataset, plan.block_rows, plan.task_cpus, _reading(plan))
    for planned in plan.stages:
        batches = partial(
            dataset.map_batches,
            num_cpus=planned.cpus,
            batch_size=planned.batch_size,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
        )
        if planned.stage.actor:
            dataset = batches(
                actor_class(planned.stage.name),
                fn_constructor_args=(planned.stage, record, planned.threads),
                compute=ActorPoolStrategy(size=planned.workers),
                num_gpus=planned.gpus or None,
                # Ray does not fuse what asks for different memory, be it a byte. Fused into actors,
                # tasks would cut no blocks and take the time of a model.
                memory=1,
            )
        else:  # its type knows no fn_args
            dataset = batches(
                run_in_task,  # type: ignore[arg-type]
                fn_args=(planned.stage, record, planned.threads),
                # Ray starts a worker for each task that could run.
                compute=TaskPoolStrategy(plan.tasks),
                # Nor are these fused with reading: nothing would go on before a shard is done.
                memory=2,
            )
    return dataset
