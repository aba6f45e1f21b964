"""Where Ray puts actors: a plan is judged by what will happen, not by sums alone.

Ray Data places actors with SPREAD: machines take turns, whoever has room. On a machine a fraction
goes to the fullest card that still holds it (seen with Ray 2.60 on three nodes). So actors of half
a card on two machines leave no whole card for a third, though the sum would fit, and it waits for
ever (ray-project/ray#52133).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pipeline.planning.cluster import Node

_UNITS = 10_000  # Ray counts resources in ten-thousandths, rounded down


@dataclass(frozen=True)
class Claim:
    """What some workers of one kind ask for.

    Attributes:
        name: of their stage.
        workers: how many.
        cpus: for each.
        gpus: share of one card, for each.
    """

    name: str
    workers: int
    cpus: float
    gpus: float = 0.0

    def holds(self, nodes: Iterable[Node]) -> bool:
        """Whether one of the machines, if it were empty, has room for one of them."""
        one = [replace(self, workers=1)]
        return any(_first_unplaced(one, [node]) is None for node in nodes)


def fits(pools: Sequence[Claim], tasks: Sequence[Claim], nodes: Sequence[Node]) -> bool:
    """Whether all claims find room, in sum and one by one."""
    claims = [*pools, *tasks]
    if total_cpus(claims) > in_units(sum(node.cpus for node in nodes)):
        return False
    if total_gpus(claims) > in_units(sum(node.gpus for node in nodes)):
        return False
    return first_stuck(pools, tasks, nodes) is None


def first_stuck(
    pools: Sequence[Claim], tasks: Sequence[Claim], nodes: Sequence[Node]
) -> str | None:
    """The first claim that may find no room once the others are placed; None if all find some.

    Actors are placed in the order of the pipeline, and in the opposite one, since after a fault
    they come back in any; tasks take what is left. Ray orders machines by random ids, so these are
    gone through both ways too. That finds plans that hold only with luck; it is no proof.
    """
    for claims, machines in product((pools, pools[::-1]), (nodes, nodes[::-1])):
        stuck = _first_unplaced([*claims, *tasks], machines)
        if stuck is not None:
            return stuck
    return None


def in_units(amount: float) -> int:
    """An amount of CPUs or GPUs as Ray counts it."""
    return math.floor(amount * _UNITS + 1e-6)


def total_cpus(claims: Iterable[Claim]) -> int:
    """CPUs of all workers, in Ray's units."""
    return sum(claim.workers * in_units(claim.cpus) for claim in claims)


def total_gpus(claims: Iterable[Claim]) -> int:
    """GPUs of all workers, in Ray's units."""
    return sum(claim.workers * in_units(claim.gpus) for claim in claims)


class _Room:
    """What is left on one machine."""

    def __init__(self, node: Node) -> None:
        self._cpus = in_units(node.cpus)
        self._cards = [_UNITS] * math.floor(node.gpus)

    def take(self, cpus: int, gpus: int) -> bool:
        """Places one worker, if there is room."""
        if cpus > self._cpus:
            return False
        if gpus:
            wide = [left for left in self._cards if left >= gpus]
            if not wide:
                return False
            self._cards[self._cards.index(min(wide))] -= gpus
        self._cpus -= cpus
        return True


def _first_unplaced(claims: Sequence[Claim], nodes: Sequence[Node]) -> str | None:
    rooms = [_Room(node) for node in nodes]
    turn = 0
    for claim in claims:
        cpus, gpus = in_units(claim.cpus), in_units(claim.gpus)
        for _ in range(claim.workers):
            round_trip = ((turn + step) % len(rooms) for step in range(len(rooms)))
            taken = next((index for index in round_trip if rooms[index].take(cpus, gpus)), None)
            if taken is None:
                return claim.name
            turn = taken + 1
    return None
