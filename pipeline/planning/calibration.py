"""What each stage costs, measured on the first rows before a run is planned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ipseg.columns import ERROR_COLUMNS, to_table
from ipseg.config import Runtime
from ipseg.errors import IpsegError, PlanError, StallError
from ipseg.rows import Row
from ipseg.runner import prepare
from pipeline.planning.plan import Plan, StagePlan, make_plan
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.run_stage import run_stage
from pipeline.stages.stage import Stage

LEAST_ROWS = 16
_BATCHES = 4  # the first warms up, the others are measured
_ALL_MAY_FAIL = FailureBudget(rate=1.0)


@dataclass(frozen=True)
class StageCost:
    """What a stage costs one worker.

    Attributes:
        seconds_per_row: once it is warm.
        setup_seconds: to load models and to work off the first rows, as far as these took longer
            than later ones.
    """

    seconds_per_row: float
    setup_seconds: float


Timer = Callable[[Stage, pa.Table, int], tuple[StageCost, pa.Table]]


def calibration_rows(batch_size: int) -> int:
    """How many rows to calibrate with: 16, or more where batches are large."""
    return max(LEAST_ROWS, _BATCHES * batch_size)


def calibrate(
    stages: Sequence[Stage],
    rows: Sequence[Row],
    batch_size: int,
    timer: Timer | None = None,
) -> dict[str, StageCost]:
    """Runs rows through stages, one stage after the other, and measures each.

    Nothing is written, nothing recorded. Stages are measured alone. In the run they share memory
    bandwidth and cards with others.

    Args:
        stages: from `build_stages`.
        rows: the first of the source; see `calibration_rows`.
        batch_size: rows in one call, as in the run.
        timer: where a stage is run; None is this process.

    Raises:
        PlanError: there are no rows, all of them fail in the same stage, or they end its worker.
        IpsegError: what setting a stage up raises.
    """
    if not rows:
        raise PlanError("there are no rows to calibrate with; leave --calibrate out")
    measure = timer or time_stage
    table = to_table(rows, sorted({*ERROR_COLUMNS, *(name for row in rows for name in row)}))
    costs = {}
    for stage in stages:
        costs[stage.name], table = measure(stage, table, batch_size)
        errors = table["error_type"].to_pylist()
        if None not in errors:
            at, kind, text = (table[f"error_{name}"][0] for name in ("stage", "type", "message"))
            raise PlanError(
                f"calibration: all of the first {len(errors)} rows failed, the first of them in "
                f"step '{at}' ({kind}: {text}); fix that, or leave --calibrate out"
            )
    return costs


def balanced(
    plan: Plan, first: Sequence[Row], runtime: Runtime, rows: int | None
) -> tuple[Plan, dict[str, StageCost]]:
    """The same stages with pools sized by what they cost on Ray, and these costs.

    Args:
        plan: to measure the stages by.
        first: rows of the source; see `calibration_rows`.
        runtime: as for `make_plan`.
        rows: the same.

    Raises:
        IpsegError: as `calibrate`.
    """
    stages = [each.stage for each in plan.stages]
    costs = calibrate(stages, first, runtime.batch_size, on_ray(plan, runtime.stall_seconds))
    return make_plan(stages, plan.cluster, runtime, seconds_per_row(costs), rows=rows), costs


def seconds_per_row(costs: Mapping[str, StageCost]) -> dict[str, float]:
    """The costs as `make_plan` takes them."""
    return {name: cost.seconds_per_row for name, cost in costs.items()}


def time_stage(stage: Stage, table: pa.Table, batch_size: int) -> tuple[StageCost, pa.Table]:
    """Sets a stage up in this process and runs a table through it.

    Returns:
        What it cost, and what it handed on. A single batch is measured cold.
    """
    started = time.perf_counter()
    prepare(stage.steps)
    setup = time.perf_counter() - started
    record = RunRecord(_ALL_MAY_FAIL)  # of its own: the run's is about rows that are kept
    done, seconds = [], []
    for first in range(0, table.num_rows, batch_size):
        started = time.perf_counter()
        done.append(run_stage(stage, record, table.slice(first, batch_size)))
        seconds.append(time.perf_counter() - started)
    warm = sum(part.num_rows for part in done[1:])
    if not warm:
        return StageCost(seconds[0] / table.num_rows, setup), pa.concat_tables(done)
    each = sum(seconds[1:]) / warm
    cold = max(0.0, seconds[0] - each * done[0].num_rows)
    return StageCost(each, setup + cold), pa.concat_tables(done)


def on_ray(plan: Plan, patience: float) -> Timer:
    """Runs each stage in a Ray worker of its own, with the CPUs and the share of a card of a plan.

    Args:
        plan: of the stages.
        patience: seconds after which a stage that has not come to an end is given up; longer than
            its models take to load.
    """
    planned = {each.stage.name: each for each in plan.stages}
    return lambda stage, table, batch_size: _time_on_ray(
        planned[stage.name], table, batch_size, patience
    )


def _time_on_ray(
    planned: StagePlan, table: pa.Table, batch_size: int, patience: float
) -> tuple[StageCost, pa.Table]:
    import ray
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError

    name = planned.stage.name
    # A worker that was given a card ends with its task, so the memory is free for the next stage.
    task = ray.remote(num_cpus=planned.cpus, num_gpus=planned.gpus, max_retries=0)(time_stage)
    reference = task.options(name=f"measure {name}").remote(planned.stage, table, batch_size)
    try:
        measured: tuple[StageCost, pa.Table] = ray.get(reference, timeout=patience)
    except GetTimeoutError as error:
        ray.cancel(reference, force=True)
        raise StallError(
            f"calibration: stage '{name}' did not end in {patience:g} s; raise "
            f"runtime.stall_seconds if its models take that long to load"
        ) from error
    except RayTaskError as error:
        if isinstance(error.cause, IpsegError):
            raise error.cause from error
        raise
    except RayError as error:
        raise PlanError(
            f"calibration: the worker of stage '{name}' ended over its first rows ({error}); leave "
            f"--calibrate out: the run itself finds the row that does this and goes on without it"
        ) from error
    return measured
