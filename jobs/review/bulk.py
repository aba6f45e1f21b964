"""Accepting everything above a score, after a look at some of it."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from jobs.review.offers import Offers, Wanted

SAMPLE = 50  # nearest above the score, and as many by lot
_Z = 1.959964  # 95 %


def sample(
    offers: Offers, scores: np.ndarray[Any, Any], wanted: Wanted, seed: int
) -> dict[str, Any]:
    """What a rule would accept, and which objects of it are to be looked at first.

    Args:
        offers: of the run.
        scores: of all objects.
        wanted: the concept, and the score from which on; only what nobody has decided counts.
        seed: of the lot.

    Returns:
        `count` of objects; `nearest`, the lowest scores among them, and `random` ones of the
        others, so that none is there twice.
    """
    fitting = np.flatnonzero(offers.fitting(wanted))
    by_score = fitting[np.argsort(scores[fitting], kind="stable")]
    nearest, rest = by_score[:SAMPLE], by_score[SAMPLE:]
    drawn = np.random.default_rng(seed).permutation(rest)[:SAMPLE]
    return {
        "count": len(fitting),
        "nearest": [offers.item(int(number)) for number in nearest],
        "random": [offers.item(int(number)) for number in drawn],
        "of": len(rest),
    }


def error_interval(wrong: int, looked: int) -> tuple[float, float]:
    """95 % interval of an error rate (Wilson 1927), from `wrong` among `looked`, at least 1."""
    share, z2 = wrong / looked, _Z**2
    middle = (share + z2 / (2 * looked)) / (1 + z2 / looked)
    half = _Z / (1 + z2 / looked) * sqrt(share * (1 - share) / looked + z2 / (4 * looked**2))
    return max(0.0, middle - half), min(1.0, middle + half)
