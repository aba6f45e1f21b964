"""How long a plan takes for N images, and what it takes of the GPUs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.planning.calibration import StageCost
from pipeline.planning.plan import Plan

TASKS, CPUS, GPUS = "tasks", "CPUs", "GPUs"


@dataclass(frozen=True)
class Load:
    """How busy a stage is, or what several stages share.

    Attributes:
        name: of the stage; `TASKS`, `CPUS` or `GPUS` for what is shared.
        seconds_per_row: of one worker; added up over the stages for what they share.
        workers: actors of a stage; slots for task stages; CPUs or cards.
        share: of the time that the bottleneck is busy; 1 for the bottleneck itself.
    """

    name: str
    seconds_per_row: float
    workers: float
    share: float


@dataclass(frozen=True)
class Estimate:
    """A run of N images.

    Attributes:
        images: N.
        seconds: from the start of the workers to the last row.
        setup_seconds: of these, until the slowest model is loaded.
        images_per_second: after that.
        gpu_hours: cards that the pools hold, times the hours that they hold them.
        bottleneck: name of the stage, or of the shared thing, that sets the pace.
        stages: each stage.
        shared: what the stages share.
    """

    images: int
    seconds: float
    setup_seconds: float
    images_per_second: float
    gpu_hours: float
    bottleneck: str
    stages: tuple[Load, ...]
    shared: tuple[Load, ...]


def estimate(plan: Plan, costs: Mapping[str, StageCost], images: int) -> Estimate:
    """What a run takes, from what its stages cost.

    A stage of n workers lets a row through every cost / n seconds, and the slowest sets the pace.
    Three things are shared: task slots; cores, where there are more workers than cores; and cards,
    which processes use in turns. Costs are measured alone and a card is taken to be busy all that
    time, so where several workers share a card the estimate is on the safe side.

    Args:
        plan: how many workers of what.
        costs: of each stage of the plan.
        images: N.
    """
    seconds = {each.stage.name: costs[each.stage.name].seconds_per_row for each in plan.stages}
    slots = min(plan.slots - 1, plan.tasks)  # one is the reader's
    tasks = [each for each in plan.stages if not each.stage.actor]
    on_cards = [each for each in plan.stages if each.gpus]
    cards = math.ceil(sum(each.workers * each.gpus for each in on_cards) - 1e-6)
    # A task that asks for part of a slot leaves room for another one beside it.
    in_slots = {e.stage.name: seconds[e.stage.name] * e.cpus / plan.task_cpus for e in tasks}
    workers = {e.stage.name: e.workers if e.stage.actor else slots for e in plan.stages}
    cores = sum(seconds[e.stage.name] * e.stage.resources.cpus for e in plan.stages)
    shared = {CPUS: (cores, plan.cluster.cpus)}
    if len(tasks) > 1:
        shared[TASKS] = (sum(in_slots.values()), slots)
    if on_cards:
        shared[GPUS] = (sum(seconds[each.stage.name] for each in on_cards), cards)
    busy = {name: in_slots.get(name, taken) / workers[name] for name, taken in seconds.items()}
    busy |= {name: total / number for name, (total, number) in shared.items()}
    # Of equals, the first: a stage says more than what it shares.
    bottleneck = max(busy, key=lambda name: busy[name])
    pace = max(busy[bottleneck], 1e-9)  # of stages that take no time at all
    setup = max(costs[each.stage.name].setup_seconds for each in plan.stages)
    total = setup + images * pace
    alone = {name: (taken, workers[name]) for name, taken in seconds.items()}
    stages, sharing = (
        tuple(Load(name, taken, n, busy[name] / pace) for name, (taken, n) in group.items())
        for group in (alone, shared)
    )
    return Estimate(
        images=images,
        seconds=total,
        setup_seconds=setup,
        images_per_second=1 / pace,
        gpu_hours=cards * total / 3600,
        bottleneck=bottleneck,
        stages=stages,
        shared=sharing,
    )
