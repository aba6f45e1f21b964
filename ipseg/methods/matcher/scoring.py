"""What proposed masks are worth, and which of them are the answer.

Source: Matcher (Liu et al., ICLR 2024), sections 3.3 and 3.4; released code, `Matcher.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.methods.matcher.matching import Matches
from ipseg.methods.matcher.proposals import Pool
from ipseg.methods.matcher.settings import Merging, Scoring
from ipseg.methods.matcher.transport import Transports, Values

_EPSILON = 1e-6
_ROUNDING = 1e-9  # of bounds of likenesses


@dataclass(frozen=True)
class Scores:
    """Masks that passed all filters, in the order of the pool.

    Attributes:
        number: (n,) int64, of each in the pool.
        likeness: (n,) in [0, 1]; of masks that are not the answer it may be too high.
        purity: (n,) in [0, 1].
        coverage: (n,) in [0, 1].
        total: (n,) what it is worth.
    """

    number: npt.NDArray[np.int64]
    likeness: Values
    purity: Values
    coverage: Values
    total: Values


def scored(
    pool: Pool, matches: Matches, settings: Scoring, merging: Merging | None = None
) -> Scores:
    """The masks of a pool that are worth something.

    A transport takes a thousand times as long as the rest, so masks are filtered before it where
    that changes nothing, and those with the same cells share one.

    Args:
        pool: at least one mask.
        matches: the points, and what distances come from.
        settings: weights and filters.
        merging: by which the answer is chosen of them: it needs no transport of masks that are too
            unlike the object whatever theirs is. None for all transports.
    """
    purity, coverage = purities(pool, matches.cells)
    number = np.arange(len(pool.masks))
    number = _at_least(number, coverage, settings.coverage)
    likeness = np.zeros(len(pool.masks))
    inside = settings.beta * purity * coverage**settings.exponent
    if settings.likeness == 0:
        number = _at_least(number, purity, settings.purity)
    transports = Transports(pool.cells[number], matches.costs)
    if merging is not None and settings.likeness == 0:
        solve_best(transports, settings.alpha, inside[number], merging)
    else:
        transports.solve_all()
    likeness[number] = transports.likeness
    if settings.likeness > 0:
        number = _at_least(number, likeness, settings.likeness)
        number = _at_least(number, purity, settings.purity)
    total = settings.alpha * likeness + inside
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


def solve_best(transports: Transports, alpha: float, inside: Values, merging: Merging) -> None:
    """Solves transports until those that are left can be no part of what `chosen` takes.

    Args:
        transports: of n masks.
        alpha: weight of their likeness.
        inside: (n,) what else they are worth.
        merging: as for `chosen`.
    """
    while not transports.solved.all():
        total = alpha * transports.likeness + inside
        left = np.flatnonzero(~transports.solved)
        best = left[total[left].argmax()]
        if _is_out(total[best] + _ROUNDING, total[transports.solved], merging):
            return
        transports.solve(int(best))


def _is_out(most: float, known: Values, merging: Merging) -> bool:
    """Whether a mask that is worth `most` at most is no part of the answer, whatever others are."""
    if not len(known) or most >= known.max():
        return False
    if merging.rule == "distance":
        return bool(most <= 1 - merging.distance)
    return bool(most <= merging.ratio * known.max() or (known > most).sum() >= merging.most)


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
