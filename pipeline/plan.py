"""Fits stages to the machines before anything starts, and refuses what could deadlock.

Actors are placed before read tasks, so pools that take every CPU leave none for the reader and
the run never moves. A plan therefore keeps two task slots free whatever the number of pools.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipseg.config import Runtime
from ipseg.errors import PlanError
from pipeline.stage import Stage

TASK_SLOTS = 2  # one for reading, one for task stages and writing
_ROUNDING = 1e-9


@dataclass(frozen=True)
class StagePlan:
    """How one stage runs.

    Attributes:
        stage: what runs.
        workers: actors in its pool; 0 for tasks, which start as slots are free.
        cpus: that Ray reserves for one actor or task. Less than 1 where there are more pools
            than cores, which then share them.
        gpus: fraction of a card for one actor.
    """

    stage: Stage
    workers: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Plan:
    """A whole run: its stages, its slots for tasks, and the rows in one block.

    Attributes:
        stages: in order.
        task_cpus: reserved for each read, task-stage and write task.
        batch_size: rows in one call of a worker.
        block_rows: rows in one unit of scheduling.
        cpus: seen in the cluster.
        gpus: seen in the cluster.
    """

    stages: tuple[StagePlan, ...]
    task_cpus: float
    batch_size: int
    block_rows: int
    cpus: float
    gpus: float

    def lines(self) -> list[str]:
        """The plan as text, a line for the cluster and one for each stage."""
        lines = [
            f"plan: {self.cpus:g} CPUs, {self.gpus:g} GPUs; read and write: "
            f"{self.task_cpus:g} CPU a task"
        ]
        for each in self.stages:
            actors = f"{each.workers} actor{'s' if each.workers != 1 else ''}"
            share = f", {each.gpus:g} GPU" if each.gpus else ""
            runs = f"{actors} x {each.cpus:g} CPU{share}" if each.stage.actor else "tasks"
            lines.append(f"  {each.stage.name}: {runs}")
        return lines


def gpu_fraction(memory_gb: float, card_gb: float) -> float:
    """Share of a card that holds `memory_gb`, rounded up so that shares tile the card (1/n).

    Raises:
        PlanError: it needs more than one card has.
    """
    if memory_gb <= 0:
        return 0.0
    if memory_gb > card_gb:
        raise PlanError(
            f"a stage needs {memory_gb:g} GB of GPU memory, a card has {card_gb:g} GB; "
            f"choose a smaller model, or set runtime.gpu_card_gb if the cards are larger"
        )
    return 1 / math.floor(card_gb / memory_gb)


def make_plan(stages: Sequence[Stage], cluster: Mapping[str, float], runtime: Runtime) -> Plan:
    """Fits stages to a cluster.

    Args:
        stages: from `build_stages`.
        cluster: resources that are there, as Ray names them ("CPU", "GPU").
        runtime: batch size, block size, pool sizes, memory of one card.

    Raises:
        PlanError: it could not run to the end; says what to change.
    """
    cpus, gpus = cluster.get("CPU", 0.0), cluster.get("GPU", 0.0)
    if cpus < 1:
        raise PlanError(f"the cluster has {cpus:g} CPUs; the pipeline needs at least 1")
    task_cpus = min(1.0, cpus / (2 * TASK_SLOTS))
    pools = [stage for stage in stages if stage.actor]
    least = runtime.actors or 1
    free_cpus = cpus - TASK_SLOTS * task_cpus
    shares = _cpu_shares(pools, free_cpus / least)
    fractions = {
        stage.name: gpu_fraction(stage.resources.gpu_memory_gb, runtime.gpu_card_gb) if gpus else 0
        for stage in pools
    }
    asked = least * sum(fractions.values())
    if asked > gpus + _ROUNDING:
        listed = ", ".join(f"{name} {share:g}" for name, share in fractions.items() if share)
        raise PlanError(
            f"{least} actor(s) of each stage need {asked:g} GPUs ({listed}), the cluster has "
            f"{gpus:g}; add cards, choose smaller models, or set runtime.gpu_card_gb if the cards "
            f"are larger"
        )
    sizes = {stage.name: least for stage in pools}
    if runtime.actors is None:
        sizes = _grow(sizes, shares, free_cpus, fractions, gpus)
    planned = tuple(
        StagePlan(stage, sizes[stage.name], shares[stage.name], fractions[stage.name])
        if stage.actor
        else StagePlan(stage, 0, task_cpus * min(1.0, stage.resources.cpus), 0)
        for stage in stages
    )
    block_rows = max(runtime.block_rows, runtime.batch_size)
    return Plan(planned, task_cpus, runtime.batch_size, block_rows, cpus, gpus)


def _cpu_shares(pools: Sequence[Stage], available: float) -> dict[str, float]:
    """What each actor asks for, or a share of it where one of each would not fit."""
    asked = sum(stage.resources.cpus for stage in pools)
    scale = min(1.0, available / asked) if asked else 1.0
    # Ray counts in ten-thousandths; rounding down keeps the sum within what is there.
    return {s.name: math.floor(s.resources.cpus * scale * 1000) / 1000 for s in pools}


def _grow(
    sizes: Mapping[str, int],
    shares: Mapping[str, float],
    cpus: float,
    fractions: Mapping[str, float],
    gpus: float,
) -> dict[str, int]:
    """One more actor for each pool in turn, as long as any pool's next actor fits."""
    grown = dict(sizes)
    free_cpus = cpus - sum(shares[name] * size for name, size in grown.items())
    free_gpus = gpus - sum(fractions[name] * size for name, size in grown.items())
    growing = True
    while growing:
        growing = False
        for name in grown:
            fits = (
                shares[name] <= free_cpus + _ROUNDING and fractions[name] <= free_gpus + _ROUNDING
            )
            if fits and shares[name] > 0:  # a pool that asks for nothing would grow without end
                grown[name] += 1
                free_cpus -= shares[name]
                free_gpus -= fractions[name]
                growing = True
    return grown
