"""Formulas over pixel counts that are summed for each class before dividing: A, A', D, P."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ipseg.metrics.episode_counts import EpisodeCounts, Integers
from ipseg.metrics.estimator import Estimator, Resampler

Sums = dict[str, Integers]


class OfSums(Estimator):
    """A formula of sums over the episodes of each class; the units are episodes."""

    @abstractmethod
    def from_sums(self, sums: Sums, classes: float) -> float:
        """The value from (C,) sums of the classes that occur, C >= 1."""

    def value(self, counts: EpisodeCounts, classes: int) -> float | None:
        """See `Estimator.value`; None without rows."""
        return self.from_sums(counts.sums(), classes) if len(counts) else None

    def resampler(self, counts: EpisodeCounts, classes: int) -> Resampler:
        """See `Estimator.resampler`.

        A class that happens to be missing in a sample is left out of its mean: with few episodes
        for each class, counting it as 0 would bias all samples downwards.
        """

        def value(weights: Integers) -> float:
            seen = np.add.reduceat(weights, counts.starts[:-1]) > 0
            sums = {name: each[seen] for name, each in counts.sums(weights).items()}
            return self.from_sums(sums, classes * (int(seen.sum()) / len(counts.classes)))

        return len(counts), value


@dataclass(frozen=True)
class ClassMean(OfSums):
    """The mean over classes of a ratio of sums.

    Attributes:
        denominator: column to divide by; the numerator is the intersection.
        over: "all" classes, counting one that never occurs as 0; or only those "seen".
        epsilon: added to the denominator; if it is 0, the denominator is at least 1 instead.
    """

    denominator: Literal["union", "ground_truth"] = "union"
    over: Literal["all", "seen"] = "all"
    epsilon: float = 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return ("intersection", self.denominator)

    def from_sums(self, sums: Sums, classes: float) -> float:
        """See `OfSums.from_sums`."""
        pixels = sums[self.denominator]
        below = pixels + self.epsilon if self.epsilon else np.maximum(pixels, 1)
        # fsum rounds once, so the order of the classes does not matter.
        total = math.fsum((sums["intersection"] / below).tolist())
        return total / (classes if self.over == "all" else len(below))


@dataclass(frozen=True)
class ForegroundBackground(OfSums):
    """Formula D: the mean of two ratios, of the object and of the background."""

    needs = ("pixels", "intersection", "union")

    def from_sums(self, sums: Sums, classes: float) -> float:
        """See `OfSums.from_sums`."""
        del classes
        pixels, inside, union = (int(sums[name].sum()) for name in self.needs)
        return (inside / max(union, 1) + (pixels - union) / max(pixels - inside, 1)) / 2
