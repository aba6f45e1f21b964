"""Precision and recall against a threshold, and how well a score says what is present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ipseg.metrics.bootstrap import Interval, ends
from ipseg.metrics.ranking import average_precision
from ipseg.scores.histogram import EDGES

_DRAWS, _AT_ONCE = 1000, 50
_THRESHOLDS: npt.NDArray[np.float64] = np.arange(41) / 40
_SURE = 0.95  # one-sided
LEAST_POSITIVE = 10  # images with a concept, for a number of its own

Values = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AtThreshold:
    """Precision and recall at a threshold, with 95 % intervals over the choice of images.

    Attributes:
        threshold: least confidence.
        kept: objects at or above it.
        precision: share of them that are good; None where none is kept.
        recall: share of what there is that a good one of them finds; None where there is nothing.
        precision_interval, recall_interval: None where they have no meaning.
    """

    threshold: float
    kept: int
    precision: float | None
    recall: float | None
    precision_interval: Interval | None
    recall_interval: Interval | None

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def against_threshold(
    confidence: Values,
    good: Outcomes,
    groups: Sequence[str],
    there: dict[str, int],
    thresholds: npt.ArrayLike = _THRESHOLDS,
    seed: int = 0,
) -> list[AtThreshold]:
    """Precision and recall at thresholds.

    Args:
        confidence: (n,) of objects.
        good: (n,) whether each is.
        groups: (n,) image of each.
        there: how much there is to be found in each image, those without an object among them.
        thresholds: (t,).
        seed: of the bootstrap.
    """
    at = np.asarray(thresholds, np.float64)
    place = {key: n for n, key in enumerate(dict.fromkeys([*there, *groups]))}
    rows = np.array([place[key] for key in groups], np.int64)
    kept = confidence[:, None] >= at  # (n, t)
    counts = np.zeros((3, len(place), len(at)))
    np.add.at(counts[0], rows, kept)
    np.add.at(counts[1], rows, kept & good[:, None])
    for key, number in there.items():
        counts[2, place[key]] = number
    sums = counts.sum(axis=1)
    drawn = _resampled(counts, seed)
    return [
        AtThreshold(
            threshold=float(value),
            kept=int(sums[0, n]),
            precision=_share(sums[1, n], sums[0, n]),
            recall=_share(sums[1, n], sums[2, n]),
            precision_interval=_interval(drawn[:, 1, n], drawn[:, 0, n]),
            recall_interval=_interval(drawn[:, 1, n], drawn[:, 2, n]),
        )
        for n, value in enumerate(at)
    ]


def _resampled(counts: Values, seed: int) -> Values:
    """(draws, 3, t) sums over images drawn with replacement."""
    random = np.random.default_rng(seed)
    images = counts.shape[1]
    share = np.full(images, 1 / images)
    blocks = [
        np.tensordot(random.multinomial(images, share, _AT_ONCE), counts, axes=(1, 1))
        for _ in range(0, _DRAWS, _AT_ONCE)
    ]
    return np.concatenate(blocks)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _interval(part: Values, whole: Values) -> Interval | None:
    some = whole > 0
    return ends(part[some] / whole[some], 0.95) if some.any() else None


def threshold_for(confidence: Values, good: Outcomes, precision: float) -> float | None:
    """The lowest threshold at which precision is at least so much, with 95 % certainty.

    By the one-sided Clopper-Pearson bound of the share of good objects above it. Without an error
    in n objects that bound is 0.05^(1/n): 0.9 takes 29 objects, 0.95 takes 59, 0.99 takes 299.

    Returns:
        A multiple of 0.001; None if no threshold has it.
    """
    from scipy.stats import beta

    kept = np.array([(confidence >= edge).sum() for edge in EDGES[:-1]])
    right = np.array([(good & (confidence >= edge)).sum() for edge in EDGES[:-1]])
    some = right > 0
    bound = np.zeros(len(kept))
    bound[some] = beta.ppf(1 - _SURE, right[some], kept[some] - right[some] + 1)
    there = np.flatnonzero(bound >= precision)
    if not len(there):
        return None
    lowest = np.searchsorted(EDGES, confidence.min(), side="right") - 1  # below, nothing is known
    return float(EDGES[max(there[0], lowest)])


@dataclass(frozen=True)
class Presence:
    """How well the best score of an image says whether a concept is there.

    Attributes:
        images: with a label.
        present: of them that have it.
        average_precision: None with fewer than 10 of either kind.
        interval: 95 %, over the choice of images.
        chance: what scores that know nothing have: the share of images that have it.
    """

    images: int
    present: int
    average_precision: float | None
    interval: Interval | None
    chance: float

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def presence(confidence: Values, present: Outcomes, groups: Sequence[str]) -> Presence:
    """Of (n,) labels, at least one; several of one image are drawn together."""
    number, n = int(present.sum()), len(present)
    some = min(number, n - number) >= LEAST_POSITIVE
    value = average_precision(confidence, present) if some else None
    interval = None if value is None else _bootstrapped(confidence, present, groups)
    return Presence(n, number, value, interval, number / n)


def _bootstrapped(confidence: Values, present: Outcomes, groups: Sequence[str]) -> Interval | None:
    places: dict[str, list[int]] = {}
    for n, key in enumerate(groups):
        places.setdefault(key, []).append(n)
    images = [np.array(each) for each in places.values()]
    random = np.random.default_rng(0)
    values = []
    for _ in range(200):
        chosen = np.concatenate([images[n] for n in random.integers(0, len(images), len(images))])
        value = average_precision(confidence[chosen], present[chosen])
        if value is not None:
            values.append(value)
    return ends(np.array(values), 0.95) if values else None
