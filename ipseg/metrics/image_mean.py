"""Formulas that give each image the same weight: B and C."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ipseg.metrics.episode_counts import EpisodeCounts, Integers
from ipseg.metrics.estimator import Estimator, Resampler
from ipseg.metrics.iou import ExactMean


class ImageMean(Estimator):
    """The mean over images of a ratio of two integers."""

    @abstractmethod
    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """Numerators and denominators, (n,) each, of the n <= N images that have the ratio."""

    def value(self, counts: EpisodeCounts, classes: int) -> float | None:
        """See `Estimator.value`; None without images."""
        del classes
        mean = ExactMean()
        numerators, denominators = (side.tolist() for side in self.ratios(counts.columns))
        for numerator, denominator in zip(numerators, denominators, strict=True):
            mean.add_ratio(numerator, denominator)
        return mean.value

    def resampler(self, counts: EpisodeCounts, classes: int) -> Resampler:
        """See `Estimator.resampler`; the units are images."""
        del classes
        numerators, denominators = self.ratios(counts.columns)
        ratios = numerators / denominators
        return len(ratios), lambda weights: float(weights @ ratios) / len(ratios)


@dataclass(frozen=True)
class ImageIoU(ImageMean):
    """Formula B: the IoU of the object; images with two empty masks are left out."""

    needs = ("intersection", "union")

    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """See `ImageMean.ratios`."""
        defined = columns["union"] > 0
        return columns["intersection"][defined], columns["union"][defined]


@dataclass(frozen=True)
class ImageForegroundBackground(ImageMean):
    """Formula C: the mean of the IoU of object and background; an empty union gives 0."""

    needs = ("pixels", "intersection", "union")

    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """See `ImageMean.ratios`."""
        pixels, inside, union = (columns[name] for name in self.needs)
        union_or_1, background_union = np.maximum(union, 1), np.maximum(pixels - inside, 1)
        # A single fraction; with at most 2**31 pixels, the products fit into 63 bits.
        numerators = inside * background_union + (pixels - union) * union_or_1
        return numerators, 2 * union_or_1 * background_union
