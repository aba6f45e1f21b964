"""Pool sizes from what each stage costs: the slowest stage gets the next worker."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import count

Sizes = Mapping[str, int]


def balance(
    least: Sizes, costs: Mapping[str, float], fits: Callable[[Sizes], bool]
) -> dict[str, int]:
    """Grows pools so that the slowest stage is as fast as can be.

    A pool of n workers whose rows take `cost` seconds each lets 1 / (cost / n) rows a second
    through, and the run goes as fast as the pool that lets the fewest through. The next worker
    always goes there, until it does not fit: from then on no other pool can make the run faster,
    so cheap stages stay small and leave their share to the others (ray-project/ray#65540).

    Args:
        least: workers of each pool to begin with, which fit.
        costs: seconds per row of one worker; 0 never grows.
        fits: whether sizes fit the machines. If sizes fit, smaller ones are taken to fit as well.

    Returns:
        Sizes that fit. No others that fit have a faster slowest stage.
    """
    grown, _ = _grow(least, costs, fits)
    return grown


def fill(least: Sizes, growing: Iterable[str], fits: Callable[[Sizes], bool]) -> dict[str, int]:
    """Grows pools of unknown cost evenly, until none of them fits another worker.

    Args:
        least: workers of each pool to begin with, which fit.
        growing: names of the pools that may grow; without end where a pool asks for nothing.
        fits: whether sizes fit the machines.
    """
    sizes, names = dict(least), list(growing)
    while names:
        sizes, blocked = _grow(sizes, dict.fromkeys(names, 1.0), fits)
        names.remove(blocked)
    return sizes


def largest(fits: Callable[[int], bool]) -> int:
    """The largest n from 0 on that fits, if everything below what fits does too: O(log n) looks."""
    beyond = next(1 << power for power in count() if not fits(1 << power))
    return bisect_left(range(1, beyond), True, key=lambda n: not fits(n))


def _grow(
    least: Sizes, costs: Mapping[str, float], fits: Callable[[Sizes], bool]
) -> tuple[dict[str, int], str]:
    """The sizes as far as they fit, and the pool whose next worker does not."""
    # Who gets the next worker does not depend on the machines, so the steps can be bisected.
    slowest = max(costs, key=lambda name: costs[name] / least[name])
    if costs[slowest] <= 0:
        return dict(least), slowest
    steps = largest(lambda n: fits(_after(least, costs, n)))
    grown = _after(least, costs, steps)
    beyond = _after(least, costs, steps + 1)
    return grown, next(name for name in grown if beyond[name] != grown[name])


def _after(least: Sizes, costs: Mapping[str, float], steps: int) -> dict[str, int]:
    sizes = dict(least)
    waiting = [
        (-cost / sizes[name], order, name) for order, (name, cost) in enumerate(costs.items())
    ]
    heapq.heapify(waiting)
    for _ in range(steps):
        _, order, name = waiting[0]
        sizes[name] += 1
        heapq.heapreplace(waiting, (-costs[name] / sizes[name], order, name))
    return sizes
