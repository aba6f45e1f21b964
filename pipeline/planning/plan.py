"""Fits stages to the machines before anything starts, and refuses what could deadlock.

Actors are placed before read tasks, so pools that take every CPU leave none for the reader and
the run never moves. A plan therefore keeps task slots free whatever the number of pools.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ipseg.config import Runtime
from ipseg.errors import ConfigError, PlanError
from ipseg.parts import unknown
from pipeline.planning.balance import Sizes, balance, fill, largest
from pipeline.planning.cluster import Cluster
from pipeline.planning.fit import check_fit
from pipeline.planning.placement import Claim, fits
from pipeline.stages.stage import Stage

BLOCKS = 20_000  # at most, where rows allow: Ray keeps 10 to 40 KB about each in the driver
BLOCK_ROWS = (8, 64)  # at least and at most, unless somebody says otherwise
UNCOUNTED_BLOCK_ROWS = 32  # where only reading would tell how many rows there are
TASK_SLOTS = 2  # one for reading, one for task stages and writing
DEFAULT_CARD_GB = 24.0  # where cards cannot be asked and nobody has said
LEAST_SHARE = 1 / 8  # of a core for an actor: more processes on a core only take memory
_SQUEEZES = (1, 2, 4, 8)  # how much smaller CPU shares may get where machines differ
_TASKS = ""  # the tasks' place among the pools; no stage has an empty name


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


@dataclass(frozen=True)
class Plan:
    """A whole run: its stages, its slots for tasks, and the rows in one block.

    Attributes:
        stages: in order.
        task_cpus: reserved for each read, task-stage and write task.
        slots: of `task_cpus` that the pools leave free: one for reading, the others for task
            stages and writing.
        block_rows: rows in one unit of scheduling.
        cluster: the machines that were seen.
        card_gb: memory of a card that GPU shares were made of.
    """

    stages: tuple[StagePlan, ...]
    task_cpus: float
    slots: int
    block_rows: int
    cluster: Cluster
    card_gb: float

    @property
    def last_actors(self) -> str:
        """The stage at which rows are as good as done.

        What comes after it is quick, but waits until a part is full. Without actors the last stage.
        """
        names = [each.stage.name for each in self.stages if each.stage.actor]
        return (names or [self.stages[-1].stage.name])[-1]

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


def gpu_fraction(memory_gb: float, card_gb: float, stage: str = "a stage") -> float:
    """Share of a card that holds `memory_gb`, rounded up so that shares tile the card (1/n).

    Raises:
        PlanError: it needs more than one card has; names the stage.
    """
    if memory_gb <= 0:
        return 0.0
    if memory_gb > card_gb:
        raise PlanError(
            f"{stage} needs {memory_gb:g} GB of GPU memory, a card has {card_gb:g} GB; choose "
            f"smaller models (segmenter.weights, features), lower the gpu_memory_gb of these if "
            f"they take less, or set runtime.gpu_card_gb if the cards are larger"
        )
    return 1 / math.floor(card_gb / memory_gb)


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
    demand = _demand(stages, cluster, runtime)
    sizes = _sizes(demand, stages, runtime, costs)
    batches = {stage.name: runtime.batch_of(stage.name) for stage in stages}
    planned = tuple(
        StagePlan(
            stage,
            sizes[stage.name],
            demand.shares[stage.name],
            demand.gpus[stage.name],
            batches[stage.name],
        )
        if stage.actor
        else StagePlan(
            stage, 0, demand.task_cpus * min(1.0, stage.resources.cpus), 0, batches[stage.name]
        )
        for stage in stages
    )
    return Plan(
        planned,
        demand.task_cpus,
        TASK_SLOTS - 1 + sizes[_TASKS],
        max(runtime.block_rows or block_rows(rows), *batches.values()),
        cluster,
        _card_gb(cluster, runtime),
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
    return replace(
        stage, cpus=own.cpus, gpu_memory_gb=own.gpu_memory_gb, actors=own.actors or runtime.actors
    )


def _card_gb(cluster: Cluster, runtime: Runtime) -> float:
    return runtime.gpu_card_gb or cluster.card_gb or DEFAULT_CARD_GB


@dataclass(frozen=True)
class _Demand:
    """What each worker asks for.

    Attributes:
        shares: CPUs of an actor of each pool.
        gpus: fraction of a card of an actor of each pool.
        task_cpus: CPUs of a task.
        cluster: that has to hold it.
    """

    shares: Mapping[str, float]
    gpus: Mapping[str, float]
    task_cpus: float
    cluster: Cluster

    def pools(self, sizes: Sizes) -> list[Claim]:
        """What pools of these sizes claim, in the order of the pipeline."""
        return [Claim(n, sizes[n], share, self.gpus[n]) for n, share in self.shares.items()]

    def tasks(self, sizes: Sizes) -> list[Claim]:
        """The task slots."""
        return [
            Claim("reading", 1, self.task_cpus),
            Claim("task stages and writing", sizes[_TASKS], self.task_cpus),
        ]

    def fits(self, sizes: Sizes) -> bool:
        """Whether these sizes find room."""
        return fits(self.pools(sizes), self.tasks(sizes), self.cluster.nodes)


def _demand(stages: Sequence[Stage], cluster: Cluster, runtime: Runtime) -> _Demand:
    """What each worker asks for, so small that the least number of workers fits.

    Raises:
        PlanError: it cannot be made to fit.
    """
    pools = [stage for stage in stages if stage.actor]
    card_gb = _card_gb(cluster, runtime)
    gpus = {
        stage.name: gpu_fraction(stage.resources.gpu_memory_gb, card_gb, f"stage '{stage.name}'")
        if cluster.gpus
        else 0.0
        for stage in pools
    }
    actors = runtime.actors or 1
    demand, sizes = _squeezed(pools, gpus, cluster, actors), _even(pools, actors)
    fewer = 0
    if not demand.fits(sizes):
        fewer = largest(
            lambda n: n < actors and _squeezed(pools, gpus, cluster, n).fits(_even(pools, n))
        )
    check_fit(demand.pools(sizes), demand.tasks(sizes), cluster, card_gb, fewer)
    return demand


def _squeezed(
    pools: Sequence[Stage], gpus: Mapping[str, float], cluster: Cluster, actors: int
) -> _Demand:
    """The largest CPU shares with which so many actors of each pool fit, or the smallest."""
    sizes = _even(pools, actors)
    for squeeze in _SQUEEZES:
        task_cpus = min(1.0, cluster.cpus / (2 * TASK_SLOTS)) / squeeze
        free = cluster.cpus - TASK_SLOTS * task_cpus
        shares = _cpu_shares(pools, free, sizes, squeeze)
        demand = _Demand(shares, gpus, task_cpus, cluster)
        if demand.fits(sizes):
            break
    return demand


def _even(pools: Sequence[Stage], actors: int) -> dict[str, int]:
    """Actors of each pool, the same number unless set, and a slot for task stages and writing."""
    return {_TASKS: TASK_SLOTS - 1, **{stage.name: stage.actors or actors for stage in pools}}


def _cpu_shares(
    pools: Sequence[Stage], available: float, sizes: Sizes, squeeze: int
) -> dict[str, float]:
    """What each actor asks for, or a share of it where pools of these sizes would not fit."""
    asked = {stage.name: stage.resources.cpus for stage in pools}
    least: dict[str, float] = {}  # shares that must not get smaller
    while True:
        scaled = {name: cpus for name, cpus in asked.items() if name not in least}
        room = max(0.0, available - sum(cpus * sizes[name] for name, cpus in least.items()))
        wanted = sum(cpus * sizes[name] for name, cpus in scaled.items())
        scale = min(1.0, room / wanted) / squeeze if wanted else 1.0
        low = [name for name, cpus in scaled.items() if cpus * scale < min(cpus, LEAST_SHARE)]
        if not low:
            break
        least |= {name: min(asked[name], LEAST_SHARE) for name in low}
    shares = {name: least.get(name, cpus * scale) for name, cpus in asked.items()}
    # Rounding down keeps the sum within what is there.
    return {name: math.floor(share * 1000) / 1000 for name, share in shares.items()}


def _sizes(
    demand: _Demand,
    stages: Sequence[Stage],
    runtime: Runtime,
    costs: Mapping[str, float] | None,
) -> dict[str, int]:
    """Workers of each pool, and slots for task stages and writing."""
    pools = [stage for stage in stages if stage.actor]
    least = _even(pools, runtime.actors or 1)
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
    idle = set(least) - {*growing, _TASKS}
    return balance(
        least,
        {_TASKS: of_tasks, **of_pools},
        lambda sizes: all(sizes[n] == least[n] for n in idle) and demand.fits(sizes),
    )
