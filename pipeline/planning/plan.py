"""Fits stages to the machines before anything starts, and refuses what could deadlock.

Actors are placed before read tasks, so pools that take every CPU leave none for the reader and
the run never moves. A plan therefore keeps task slots free whatever the number of pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ipseg.config import Runtime
from ipseg.errors import ConfigError, PlanError
from ipseg.parts import unknown
from pipeline.planning.balance import balance, fill
from pipeline.planning.cluster import Cluster
from pipeline.planning.demand import TASK_SLOTS, TASKS, Demand, card_memory, demand_of, even_sizes
from pipeline.stages.stage import Stage

BLOCKS = 20_000  # at most, where rows allow: Ray keeps 10 to 40 KB about each in the driver
BLOCK_ROWS = (8, 64)  # at least and at most, unless somebody says otherwise
UNCOUNTED_BLOCK_ROWS = 32  # where only reading would tell how many rows there are
_TASK_ROWS = 64  # that are worth another process for task stages, which takes a second to start


@dataclass(frozen=True)
class StagePlan:
    """How one stage runs.

    Attributes:
        stage: what runs.
        workers: actors in its pool; 0 for tasks, which start as slots are free.
        cpus: that Ray reserves for one actor or task. Less than 1 where there are more pools
            than cores, which then share them.
        gpus: fraction of a card for one actor.
        batch_size: rows in one call of a worker.
    """

    stage: Stage
    workers: int
    cpus: float
    gpus: float
    batch_size: int

    @property
    def threads(self) -> int:
        """For the libraries of a worker: one for each of its CPUs."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class Plan:
    """A whole run: its stages, its slots for tasks, and the rows in one block.

    Attributes:
        stages: in order.
        task_cpus: reserved for each read, task-stage and write task.
        slots: of `task_cpus` that the pools leave free: one for reading, the others for task
            stages and writing.
        tasks: of a task stage at a time; fewer than slots where rows are few.
        block_rows: rows in one unit of scheduling.
        cluster: the machines that were seen.
        card_gb: memory of a card that GPU shares were made of.
    """

    stages: tuple[StagePlan, ...]
    task_cpus: float
    slots: int
    tasks: int
    block_rows: int
    cluster: Cluster
    card_gb: float

    def lines(self) -> list[str]:
        """The plan as text, a line for the cluster and one for each stage."""
        machines = len(self.cluster.nodes)
        lines = [
            f"plan: {self.cluster.cpus:g} CPUs, {self.cluster.gpus:g} GPUs"
            f"{f' on {machines} machines' if machines > 1 else ''}; read and write: "
            f"{self.task_cpus:g} CPU a task"
        ]
        for each in self.stages:
            actors = f"{each.workers} actor{'s' if each.workers != 1 else ''}"
            share = f", {each.gpus:.4g} GPU" if each.gpus else ""
            runs = f"{actors} x {each.cpus:g} CPU{share}" if each.stage.actor else "tasks"
            lines.append(f"  {each.stage.name}: {runs}")
        return lines


def block_rows(rows: int | None) -> int:
    """Rows in a block where nobody has set them."""
    least, most = BLOCK_ROWS
    return UNCOUNTED_BLOCK_ROWS if rows is None else min(max(rows // BLOCKS, least), most)


def make_plan(
    stages: Sequence[Stage],
    cluster: Cluster | Mapping[str, float],
    runtime: Runtime,
    costs: Mapping[str, float] | None = None,
    *,
    rows: int | None = None,
) -> Plan:
    """Fits stages to a cluster.

    Args:
        stages: from `build_stages`.
        cluster: from `see_cluster`; or resources of one machine, as Ray names them ("CPU", "GPU").
        runtime: batch size, block size, pool sizes, memory of one card.
        costs: seconds per row of each stage. With them the slowest stage gets the most workers;
            without, pools grow evenly.
        rows: of the source, where its listing tells.

    Raises:
        PlanError: it could not run to the end; says what to change.
    """
    cluster = cluster if isinstance(cluster, Cluster) else Cluster.of(cluster)
    if cluster.cpus < 1:
        raise PlanError(
            f"the cluster has {cluster.cpus:g} CPUs; the pipeline needs at least 1: start a "
            f"machine with CPUs for workers (the head may have none)"
        )
    if costs is not None and (unknown := [s.name for s in stages if s.name not in costs]):
        raise ValueError(f"no costs for the stages {', '.join(unknown)}")
    stages = [_as_set(stage, runtime) for stage in stages]
    demand = demand_of(stages, cluster, runtime)
    sizes = _sizes(demand, stages, runtime, costs)
    planned = []
    for stage in stages:
        name, of_task = stage.name, demand.task_cpus * min(1.0, stage.resources.cpus)
        cpus, gpus = demand.shares.get(name, of_task), demand.gpus.get(name, 0.0)
        planned.append(StagePlan(stage, sizes.get(name, 0), cpus, gpus, runtime.batch_of(name)))
    slots = TASK_SLOTS - 1 + sizes[TASKS]
    return Plan(
        tuple(planned),
        demand.task_cpus,
        slots,
        slots if rows is None else min(slots, 1 + rows // _TASK_ROWS),
        max(runtime.block_rows or block_rows(rows), *(each.batch_size for each in planned)),
        cluster,
        card_memory(cluster, runtime),
    )


def check_settings(runtime: Runtime, stages: Sequence[str]) -> None:
    """Refuses settings of stages that there are not.

    Args:
        runtime: has settings of stages by their names.
        stages: names of all stages, those of prompts included.

    Raises:
        ConfigError: names the stage, and the nearest one that there is.
    """
    for name in runtime.stages:
        if name not in stages:
            raise ConfigError(f"runtime.stages: {unknown('stage', name, stages)}")


def _as_set(stage: Stage, runtime: Runtime) -> Stage:
    """The stage with what somebody has set for it."""
    own = runtime.stages.get(stage.name)
    if own is None:
        return stage
    if own.actors is not None and not stage.actor:
        raise ConfigError(
            f"runtime.stages.{stage.name}.actors: this stage loads no model, so it runs in tasks, "
            f"which start as slots are free"
        )
    return replace(
        stage, cpus=own.cpus, gpu_memory_gb=own.gpu_memory_gb, actors=own.actors or runtime.actors
    )


def _sizes(
    demand: Demand,
    stages: Sequence[Stage],
    runtime: Runtime,
    costs: Mapping[str, float] | None,
) -> dict[str, int]:
    """Workers of each pool, and slots for task stages and writing."""
    pools = [stage for stage in stages if stage.actor]
    least = even_sizes(pools, runtime.actors or 1)
    if runtime.actors is not None:
        return least
    # A pool that asks for nothing would grow without end.
    growing = [
        s.name
        for s in pools
        if s.actors is None and (demand.shares[s.name] > 0 or demand.gpus[s.name] > 0)
    ]
    if costs is None:
        return fill(least, growing, demand.fits)
    of_pools = {stage.name: costs[stage.name] for stage in pools}
    # A task that asks for half a slot leaves room for another one beside it.
    of_tasks = sum(costs[s.name] * min(1.0, s.resources.cpus) for s in stages if not s.actor)
    idle = set(least) - {*growing, TASKS}
    return balance(
        least,
        {TASKS: of_tasks, **of_pools},
        lambda sizes: all(sizes[n] == least[n] for n in idle) and demand.fits(sizes),
    )
