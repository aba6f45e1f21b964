"""What each worker of a plan asks for: CPUs and fractions of a card, so that the least fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipseg.config import Runtime
from ipseg.errors import PlanError
from pipeline.planning.balance import Sizes, largest
from pipeline.planning.cluster import Cluster
from pipeline.planning.fit import check_fit
from pipeline.planning.placement import Claim, fits
from pipeline.stages.stage import Stage

TASK_SLOTS = 2  # one for reading, one for task stages and writing
TASKS = ""  # the tasks' place among the pools; no stage has an empty name
DEFAULT_CARD_GB = 24.0  # where cards cannot be asked and nobody has said
LEAST_SHARE = 1 / 8  # of a core for an actor: more processes on a core only take memory
_SQUEEZES = (1, 2, 4, 8)  # how much smaller CPU shares may get where machines differ


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


def card_memory(cluster: Cluster, runtime: Runtime) -> float:
    """GB of a card that shares are made of."""
    return runtime.gpu_card_gb or cluster.card_gb or DEFAULT_CARD_GB


@dataclass(frozen=True)
class Demand:
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
            Claim("task stages and writing", sizes[TASKS], self.task_cpus),
        ]

    def fits(self, sizes: Sizes) -> bool:
        """Whether these sizes find room."""
        return fits(self.pools(sizes), self.tasks(sizes), self.cluster.nodes)


def demand_of(stages: Sequence[Stage], cluster: Cluster, runtime: Runtime) -> Demand:
    """What each worker asks for, so small that the least number of workers fits.

    Raises:
        PlanError: it cannot be made to fit.
    """
    pools = [stage for stage in stages if stage.actor]
    card_gb = card_memory(cluster, runtime)
    gpus = {
        stage.name: gpu_fraction(stage.resources.gpu_memory_gb, card_gb, f"stage '{stage.name}'")
        if cluster.gpus
        else 0.0
        for stage in pools
    }
    actors = runtime.actors or _actors_for_cores(pools, cluster)
    if runtime.actors is None and not _squeezed(pools, gpus, cluster, actors).fits(
        even_sizes(pools, actors)
    ):
        actors = 1
    demand, sizes = _squeezed(pools, gpus, cluster, actors), even_sizes(pools, actors)
    fewer = 0
    if not demand.fits(sizes):
        fewer = largest(
            lambda n: n < actors and _squeezed(pools, gpus, cluster, n).fits(even_sizes(pools, n))
        )
    check_fit(demand.pools(sizes), demand.tasks(sizes), cluster, card_gb, fewer)
    return demand


def _actors_for_cores(pools: Sequence[Stage], cluster: Cluster) -> int:
    """Actors of each pool, so that there is one for every core, where nobody uses a GPU.

    Otherwise the slots of tasks, which mostly wait, would keep half of a small machine idle.
    """
    if not pools or any(stage.resources.gpu_memory_gb for stage in pools):
        return 1
    return max(1, int(cluster.cpus) // len(pools))


def _squeezed(
    pools: Sequence[Stage], gpus: Mapping[str, float], cluster: Cluster, actors: int
) -> Demand:
    """The largest CPU shares with which so many actors of each pool fit, or the smallest."""
    sizes = even_sizes(pools, actors)
    for squeeze in _SQUEEZES:
        task_cpus = min(1.0, cluster.cpus / (2 * TASK_SLOTS)) / squeeze
        free = cluster.cpus - TASK_SLOTS * task_cpus
        shares = _cpu_shares(pools, free, sizes, squeeze)
        demand = Demand(shares, gpus, task_cpus, cluster)
        if demand.fits(sizes):
            break
    return demand


def even_sizes(pools: Sequence[Stage], actors: int) -> dict[str, int]:
    """Actors of each pool, the same number unless set, and a slot for task stages and writing."""
    return {TASKS: TASK_SLOTS - 1, **{stage.name: stage.actors or actors for stage in pools}}


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
