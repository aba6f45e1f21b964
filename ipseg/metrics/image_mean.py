"""Formulas that give each image the same weight: B and C."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.metrics.estimator import Estimator, draw
from ipseg.metrics.iou import ExactMean
from ipseg.metrics.judged import Integers, Judged


class ImageMean(Estimator):
    """The mean over images of a ratio of two whole numbers."""

    @abstractmethod
    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """What stands above and below the line, (n,) each, of the n <= N images that have it."""

    def exact(self, judged: Judged) -> ExactMean:
        """The sum over these images, to be merged with others by `+`."""
        mean = ExactMean()
        for above, below in zip(
            *(side.tolist() for side in self.ratios(judged.columns)), strict=True
        ):
            mean.add_ratio(above, below)
        return mean

    def value(self, judged: Judged, classes: int) -> float | None:
        """See `Estimator.value`; None without an image."""
        del classes
        return self.exact(judged).value

    def redrawn(
        self, judged: Judged, classes: int, samples: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64] | None:
        """See `Estimator.redrawn`; the units are images."""
        del classes
        above, below = self.ratios(judged.columns)
        if len(above) < 2:
            return None
        ratios = above / below
        return np.array([draw(len(ratios), rng) @ ratios for _ in range(samples)]) / len(ratios)


@dataclass(frozen=True)
class ImageIoU(ImageMean):
    """Formula B: the object's IoU; an image in which neither mask has a pixel is left out."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return ("intersection", "union")

    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """See `ImageMean.ratios`."""
        judged = columns["union"] > 0
        return columns["intersection"][judged], columns["union"][judged]


@dataclass(frozen=True)
class ImageForegroundBackground(ImageMean):
    """Formula C: the mean of the object's and the background's IoU; an empty union gives 0."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the results it reads."""
        return ("pixels", "intersection", "union")

    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """See `ImageMean.ratios`."""
        pixels, inside, union = (columns[name] for name in self.needs)
        line, line_around = np.maximum(union, 1), np.maximum(pixels - inside, 1)
        # Both on one line; with 2**31 pixels at most, the products fit into 63 bits.
        return inside * line_around + (pixels - union) * line, 2 * line * line_around
