"""Formulas over pixels that are summed for each class before anything is divided: A, A', D, P."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ipseg.metrics.estimator import Estimator, draw
from ipseg.metrics.judged import Integers, Judged

Sums = dict[str, Integers]


@dataclass(frozen=True)
class ClassMean(Estimator):
    """The mean over classes of a ratio of sums.

    Attributes:
        below: the column below the line; above it stands the intersection.
        over: "all" classes there are, one that never occurred counting as 0; or those "seen".
        epsilon: added below the line; where it is 0, the line is at least 1 instead.
    """

    below: Literal["union", "ground_truth"] = "union"
    over: Literal["all", "seen"] = "all"
    epsilon: float = 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return ("intersection", self.below)

    def of_sums(self, sums: Sums, classes: float) -> float:
        """The number from (C,) sums of the classes that occurred, C >= 1."""
        below = sums[self.below]
        line = below + self.epsilon if self.epsilon else np.maximum(below, 1)
        # fsum rounds once, so the order of the classes does not matter.
        total = math.fsum((sums["intersection"] / line).tolist())
        return total / (classes if self.over == "all" else len(below))

    def value(self, judged: Judged, classes: int) -> float | None:
        """See `Estimator.value`; None without a row."""
        return self.of_sums(judged.sums(), classes) if len(judged) else None

    def redrawn(
        self, judged: Judged, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """See `Estimator.redrawn`; the units are episodes.

        A class that by chance is in none of the draws is left out of that sample's mean: with few
        episodes for each class, counting it as 0 would shift all of them downwards.
        """
        if len(judged) < 2:
            return None
        values = np.empty(samples)
        for n in range(samples):
            weights = draw(len(judged), rng)
            seen = np.add.reduceat(weights, judged.starts[:-1]) > 0
            sums = {name: each[seen] for name, each in judged.sums(weights).items()}
            share = int(seen.sum()) / len(judged.classes)
            values[n] = self.of_sums(sums, classes * share)
        return values


@dataclass(frozen=True)
class ForegroundBackground(Estimator):
    """Formula D: the mean of two ratios, of the object and of all that is not it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return ("pixels", "intersection", "union")

    def of_sums(self, sums: Sums, classes: float) -> float:
        """The number from (C,) sums of the classes that occurred, C >= 1."""
        del classes
        pixels, inside, union = (int(sums[name].sum()) for name in self.needs)
        return (inside / max(union, 1) + (pixels - union) / max(pixels - inside, 1)) / 2

    def value(self, judged: Judged, classes: int) -> float | None:
        """See `Estimator.value`; None without a row."""
        return self.of_sums(judged.sums(), classes) if len(judged) else None

    def redrawn(
        self, judged: Judged, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """See `Estimator.redrawn`; the units are episodes."""
        if len(judged) < 2:
            return None
        return np.array(
            [self.of_sums(judged.sums(draw(len(judged), rng)), classes) for _ in range(samples)]
        )
