"""What every formula can do: give its value, and its value again over redrawn episodes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ipseg.metrics.judged import Integers, Judged


class Estimator(ABC):
    """A formula as a function of counts."""

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""

    @abstractmethod
    def value(self, judged: Judged, classes: int) -> float | None:
        """The number, in [0, 1] (decay: [-1, 1]); None where there is nothing to average.

        Args:
            judged: what was counted.
            classes: number of classes there are, whether they occur or not.
        """

    @abstractmethod
    def redrawn(
        self, judged: Judged, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """(samples,) values, each over as many units drawn with repetition as there are.

        None where there are fewer than two units, so that nothing can be said about chance.
        """


def draw(units: int, rng: np.random.Generator) -> Integers:
    """(units,) how often each unit was drawn, in `units` draws with repetition."""
    counts: Integers = np.bincount(rng.integers(units, size=units), minlength=units)
    return counts
