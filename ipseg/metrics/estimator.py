"""The interface of formulas: the value, and values over bootstrap samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ipseg.metrics.episode_counts import EpisodeCounts, Integers

Resampler = tuple[int, Callable[[Integers], float]]


class Estimator(ABC):
    """A formula as a function of pixel counts."""

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""

    @abstractmethod
    def value(self, counts: EpisodeCounts, classes: int) -> float | None:
        """The value in [0, 1] (decay: [-1, 1]); None if there is nothing to average.

        Args:
            counts: pixel counts of the episodes.
            classes: number of classes, including those that do not occur.
        """

    @abstractmethod
    def resampler(self, counts: EpisodeCounts, classes: int) -> Resampler:
        """The number of units, and the value if each is drawn so often: (units,) -> value."""

    def resampled(
        self, counts: EpisodeCounts, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """(samples,) values over bootstrap samples: all units, drawn with replacement.

        None with fewer than two units, for which there is no variance.
        """
        units, value = self.resampler(counts, classes)
        if units < 2:
            return None
        draws = (rng.integers(units, size=units) for _ in range(samples))
        return np.array([value(np.bincount(drawn, minlength=units)) for drawn in draws])
