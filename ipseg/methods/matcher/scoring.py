"""What proposed masks are worth, and which of them are the answer.

Source: Matcher (Liu et al., ICLR 2024), sections 3.3 and 3.4; released code, `Matcher.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import ot

from ipseg.methods.matcher.matching import Matches
from ipseg.methods.matcher.proposals import Pool
from ipseg.methods.matcher.settings import Merging, Scoring
from ipseg.rows import Map

_EPSILON = 1e-6
_STEPS = 10_000_000  # of a transport: so many that none is cut short

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Masks that passed all filters, in the order of the pool.

    Attributes:
        number: (n,) int64, of each in the pool.
        likeness: (n,) in [0, 1].
        purity: (n,) in [0, 1].
        coverage: (n,) in [0, 1].
        total: (n,) what it is worth.
    """

    number: npt.NDArray[np.int64]
    likeness: Values
    purity: Values
    coverage: Values
    total: Values


def scored(pool: Pool, matches: Matches, settings: Scoring) -> Scores:
    """The masks of a pool that are worth something.

    A transport takes a thousand times as long as the rest, so masks are filtered before it where
    that changes nothing, and those with the same cells share one.

    Args:
        pool: at least one mask.
        matches: the points, and what distances come from.
        settings: weights and filters.
    """
    purity, coverage = purities(pool, matches.cells)
    number = np.arange(len(pool.masks))
    number = _at_least(number, coverage, settings.coverage)
    likeness = np.zeros(len(pool.masks))
    if settings.likeness == 0:
        number = _at_least(number, purity, settings.purity)
    likeness[number] = likenesses(pool.cells[number], matches.costs)
    if settings.likeness > 0:
        number = _at_least(number, likeness, settings.likeness)
        number = _at_least(number, purity, settings.purity)
    inside = purity * coverage**settings.exponent
    total = settings.alpha * likeness + settings.beta * inside
    return Scores(number, *(each[number] for each in (likeness, purity, coverage, total)))


def _at_least(number: npt.NDArray[np.int64], values: Values, least: float) -> npt.NDArray[np.int64]:
    return number[values[number] >= min(least, values[number].max())]


def purities(pool: Pool, matched: npt.NDArray[np.int64]) -> tuple[Values, Values]:
    """Matched points in each of n masks, as a share of its cells and of all points; (n,) each.

    Args:
        pool: of the masks.
        matched: cells in whose middle the points are.
    """
    points = pool.centres[:, matched].sum(axis=1)
    cells = np.maximum(pool.cells.sum(axis=1), 1)
    return points / cells + _EPSILON, points / len(matched) + _EPSILON


def likenesses(cells: npt.NDArray[np.bool_], costs: Map) -> Values:
    """1 minus the earth mover's distance between the object and each mask.

    Args:
        cells: (n, g * g) of the masks; one without any counts as all.
        costs: (r, g * g) from each cell of the object.
    """
    known: dict[bytes, float] = {}
    for each in cells:
        key = each.tobytes()
        if key not in known:
            known[key] = 1 - _distance(costs[:, each] if each.any() else costs)
    return np.array([known[each.tobytes()] for each in cells])


def _distance(costs: Map) -> float:
    """With the same weight in each row, and in each column."""
    rows, columns = (np.full(count, 1 / count) for count in costs.shape)
    return float(ot.emd2(rows, columns, costs.astype(np.float64), numItermax=_STEPS))


def chosen(total: Values, settings: Merging) -> npt.NDArray[np.int64]:
    """Positions of the masks that are the answer, best first.

    Args:
        total: (n,) what each is worth, n >= 1.
        settings: of the merging.
    """
    order = np.argsort(-total, kind="stable")
    if settings.rule == "ratio":
        best = order[: settings.most]
        close = total[best] > settings.ratio * total[best[0]]
    else:
        distance = 1 - total[order]
        near = distance < settings.distance
        near[0] = True
        best = order[near]
        distance = distance[near]
        spread = (distance - distance[0]) / (distance[-1] + _EPSILON)
        close = spread < settings.spread
    close[0] = True
    return best[close][: settings.most]
