"""DAVIS: one row for each frame of each object, the mean over objects, not over frames.

Source: Perazzi et al. (CVPR 2016), section 4; its evaluation code for DAVIS-2017, semi-supervised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from ipseg.metrics.boundary import Boundary
from ipseg.metrics.counts import Counts, Region
from ipseg.metrics.estimator import Estimator, draw
from ipseg.metrics.judged import BOUNDARY, Judged

Statistic = Literal["mean", "recall", "decay"]
Measure = Literal["J", "F"]
_COLUMNS: dict[Measure, tuple[str, ...]] = {"J": ("intersection", "union"), "F": BOUNDARY}
_BINS = 4


def _mean(frames: Sequence[float]) -> float:
    return math.fsum(frames) / len(frames)  # rounded once, whatever the order


def _recall(frames: Sequence[float]) -> float:
    return sum(frame > 0.5 for frame in frames) / len(frames)


def _decay(frames: Sequence[float]) -> float:
    # The bounds of 4 bins are round(linspace(1, n, 5)), halves up, and belong to both sides.
    last = len(frames) - 1
    bounds = [(2 * last * n + _BINS) // (2 * _BINS) for n in range(_BINS + 1)]
    first, final = frames[: bounds[1] + 1], frames[bounds[-2] :]
    return _mean(first) - _mean(final)


_STATISTICS: dict[Statistic, Callable[[Sequence[float]], float]] = {
    "mean": _mean,
    "recall": _recall,
    "decay": _decay,
}


def region_j(counts: Counts) -> float:
    """J of one frame: the IoU in [0, 1], 1 if neither mask has a pixel."""
    return counts.intersection / counts.union if counts.union else 1.0


def _frames(track: Judged, measure: Measure) -> list[float]:
    rows = zip(*(track.columns[name].tolist() for name in _COLUMNS[measure]), strict=True)
    if measure == "J":
        return [region_j(Counts(*row)) for row in rows]
    return [Boundary(*row).f for row in rows]


@dataclass(frozen=True)
class TrackMean(Estimator):
    """The mean over objects of a statistic over their frames.

    Attributes:
        measures: J, F, or both: then the mean of the two.
        statistic: "mean" over frames; "recall", the share of frames above 0.5; "decay", the mean
            over the first quarter of the frames minus that over the last.
    """

    measures: tuple[Measure, ...]
    statistic: Statistic = "mean"

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return tuple(column for measure in self.measures for column in _COLUMNS[measure])

    def of_objects(self, objects: Iterable[Sequence[Sequence[float]]]) -> list[float]:
        """One number for each object, from its frames' values, in order, for each measure."""
        statistic = _STATISTICS[self.statistic]
        return [_mean([statistic(frames) for frames in each]) for each in objects]

    def _objects(self, judged: Judged) -> list[float]:
        return self.of_objects(
            [_frames(track, measure) for measure in self.measures] for track in judged.each_class()
        )

    def value(self, judged: Judged, classes: int) -> float | None:
        """See `Estimator.value`; over the objects that occur, None without one."""
        del classes
        return _mean(self._objects(judged)) if len(judged) else None

    def redrawn(
        self, judged: Judged, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """See `Estimator.redrawn`; the units are sequences.

        Frames of one object, and objects of one sequence, fail together: drawn by themselves they
        would make the interval far too narrow.
        """
        del classes
        sequences = [name.rpartition("/")[0] or name for name in judged.names]
        units, unit_of = np.unique(sequences, return_inverse=True)
        if len(units) < 2:
            return None
        values = np.array(self._objects(judged))
        totals = np.bincount(unit_of, weights=values)
        objects = np.bincount(unit_of)
        weights = np.stack([draw(len(units), rng) for _ in range(samples)])
        return np.asarray((weights * totals).sum(axis=1) / (weights * objects).sum(axis=1))


@dataclass
class Tracks:
    """Counts of every frame, from which J, F and their recall and decay follow.

    Decay needs the order of the frames, so they are kept and not summed.

    Attributes:
        frames: object -> frame number -> its counts.
    """

    frames: dict[int, dict[int, tuple[Region, Boundary]]] = field(default_factory=dict)

    def add(self, object_id: int, frame: int, region: Region, boundary: Boundary) -> None:
        """Count one frame of one object.

        Raises:
            ValueError: it was counted before.
        """
        track = self.frames.setdefault(object_id, {})
        if frame in track:
            raise ValueError(f"frame {frame} of object {object_id} is counted twice")
        track[frame] = (region, boundary)

    def __add__(self, other: Tracks) -> Tracks:
        merged = Tracks()
        for tracks in (self.frames, other.frames):
            for object_id, track in tracks.items():
                for frame, counts in track.items():
                    merged.add(object_id, frame, *counts)
        return merged

    def value(self, estimator: TrackMean) -> float | None:
        """A formula over these frames; None if there is none.

        Args:
            estimator: that of one of `FORMULAS`.
        """
        if not self.frames:
            return None
        objects = []
        for object_id in sorted(self.frames):
            track = [counts for _, counts in sorted(self.frames[object_id].items())]
            values = {
                "J": [region_j(region.foreground) for region, _ in track],
                "F": [boundary.f for _, boundary in track],
            }
            objects.append([values[measure] for measure in estimator.measures])
        return _mean(estimator.of_objects(objects))
