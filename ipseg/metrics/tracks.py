"""DAVIS: rows are frames of objects; formulas average over objects, not over frames.

Source: Perazzi et al. (CVPR 2016), section 4; its evaluation code for DAVIS-2017, semi-supervised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ipseg.metrics.boundary import Boundary
from ipseg.metrics.episode_counts import BOUNDARY, EpisodeCounts
from ipseg.metrics.estimator import Estimator, Resampler

Statistic = Callable[[Sequence[float]], float]
Measure = Literal["J", "F"]
_COLUMNS: dict[Measure, tuple[str, ...]] = {"J": ("intersection", "union"), "F": BOUNDARY}
_BINS = 4


def mean(frames: Sequence[float]) -> float:
    """The mean over frames."""
    return math.fsum(frames) / len(frames)  # rounded once: the order does not matter


def recall(frames: Sequence[float]) -> float:
    """The share of frames above 0.5."""
    return sum(frame > 0.5 for frame in frames) / len(frames)


def decay(frames: Sequence[float]) -> float:
    """The mean over the first quarter of the frames minus that over the last."""
    # The bounds of the 4 bins are round(linspace(1, n, 5)), halves up, and belong to both bins.
    last = len(frames) - 1
    bounds = [(2 * last * n + _BINS) // (2 * _BINS) for n in range(_BINS + 1)]
    first, final = frames[: bounds[1] + 1], frames[bounds[-2] :]
    return mean(first) - mean(final)


def _frames(track: EpisodeCounts, measure: Measure) -> list[float]:
    rows = zip(*(track.columns[name].tolist() for name in _COLUMNS[measure]), strict=True)
    if measure == "J":
        # 1 if both masks are empty, as in DAVIS' evaluation code.
        return [inside / union if union else 1.0 for inside, union in rows]
    return [Boundary(*row).f for row in rows]


@dataclass(frozen=True)
class TrackMean(Estimator):
    """The mean over objects of a statistic over their frames.

    Attributes:
        measures: J, F, or both (the mean of the two).
        statistic: of the frames of an object.
    """

    measures: tuple[Measure, ...]
    statistic: Statistic = mean

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return tuple(column for measure in self.measures for column in _COLUMNS[measure])

    def _objects(self, counts: EpisodeCounts) -> list[float]:
        return [
            mean([self.statistic(_frames(track, measure)) for measure in self.measures])
            for track in counts.each_class()
        ]

    def value(self, counts: EpisodeCounts, classes: int) -> float | None:
        """See `Estimator.value`; None without objects."""
        del classes
        return mean(self._objects(counts)) if len(counts) else None

    def resampler(self, counts: EpisodeCounts, classes: int) -> Resampler:
        """See `Estimator.resampler`; the units are sequences.

        Frames of one object, and objects of one sequence, are not independent: resampling those
        would give an interval that is much too narrow.
        """
        del classes
        sequences = [name.rpartition("/")[0] or name for name in counts.names]
        units, unit_of = np.unique(sequences, return_inverse=True)
        totals = np.bincount(unit_of, weights=self._objects(counts))
        objects = np.bincount(unit_of)
        return len(units), lambda weights: float((weights @ totals) / (weights @ objects))
