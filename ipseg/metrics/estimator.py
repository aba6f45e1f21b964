"""The interface of formulas: the value, and values over bootstrap samples."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ipseg.metrics.episode_counts import EpisodeCounts, Integers


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
    def resampled(
        self, counts: EpisodeCounts, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """(samples,) values over bootstrap samples: all units, drawn with replacement.

        None with fewer than two units, for which there is no variance.
        """


def resample_weights(units: int, rng: np.random.Generator) -> Integers:
    """(units,) how often each unit is drawn, in `units` draws with replacement."""
    weights: Integers = np.bincount(rng.integers(units, size=units), minlength=units)
    return weights
