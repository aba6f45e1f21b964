"""Formulas over instances, where the ground truth tells them apart: F1, count error, COCO's AP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ipseg.metrics.aggregate import OfSums, Sums
from ipseg.metrics.episode_counts import INSTANCES, LEVELS, RANKED, EpisodeCounts, Integers
from ipseg.metrics.estimator import Estimator, Resampler
from ipseg.metrics.image_mean import ImageMean

_RECALLS = np.linspace(0, 1, 101)  # at which COCO takes the precision


@dataclass(frozen=True)
class InstanceF1(OfSums):
    """2 Σmatched / (Σfound + Σthere), at IoU 0.5; 1 where nothing is there and none was found."""

    needs = INSTANCES

    def from_sums(self, sums: Sums, classes: float) -> float:
        """See `OfSums.from_sums`."""
        del classes
        there, found, matched = (int(sums[name].sum()) for name in INSTANCES)
        return 2 * matched / (there + found) if there + found else 1.0


@dataclass(frozen=True)
class CountError(ImageMean):
    """|found - there| / there, of the images that have an instance."""

    needs = INSTANCES

    def ratios(self, columns: dict[str, Integers]) -> tuple[Integers, Integers]:
        """See `ImageMean.ratios`."""
        there, found = (columns[name] for name in INSTANCES[:2])
        some = there > 0
        return np.abs(found - there)[some], there[some]


@dataclass(frozen=True)
class InstanceAP(Estimator):
    """Average precision of masks as COCO defines it, mean over classes; of all objects of an image.

    Attributes:
        over: every IoU of `LEVELS`, or 0.5 alone.
    """

    over: Literal["all", "half"] = "all"

    needs = RANKED

    def value(self, counts: EpisodeCounts, classes: int) -> float | None:
        """See `Estimator.value`; None without an instance."""
        if not len(counts) or not counts.columns["instances"].any():
            return None
        _, value = self.resampler(counts, classes)
        return value(np.ones(len(counts), np.int64))

    def resampler(self, counts: EpisodeCounts, classes: int) -> Resampler:
        """See `Estimator.resampler`; the units are images.

        Classes that have no instance in a sample are left out of its mean, as COCO does.
        """
        del classes
        parts = [_Ranked.of(each.columns) for each in counts.each_class()]
        bits = range(len(LEVELS)) if self.over == "all" else range(1)

        def value(weights: Integers) -> float:
            found = [
                part.precision(weights[start : start + part.images], bits)
                for part, start in zip(parts, counts.starts.tolist(), strict=False)
            ]
            there = [each for each in found if not np.isnan(each)]
            return float(np.mean(there)) if there else 0.0

        return len(counts), value


@dataclass(frozen=True)
class _Ranked:
    """All objects of one class, the highest score first.

    Attributes:
        images: how many.
        there: (images,) instances.
        image: (n,) index of each object's image.
        levels: (n,) bits, see `ipseg.metrics.instances.levels`.
    """

    images: int
    there: Integers
    image: Integers
    levels: Integers

    @staticmethod
    def of(columns: dict[str, npt.NDArray[Any]]) -> _Ranked:
        there, scores, levels = (columns[name] for name in RANKED)
        image = np.repeat(np.arange(len(there)), [len(each) for each in scores])
        ranked = [np.concatenate([*each, []]) for each in (scores, levels)]
        order = np.argsort(-ranked[0], kind="stable")
        return _Ranked(len(there), there, image[order], ranked[1][order].astype(np.int64))

    def precision(self, weights: Integers, bits: range) -> float:
        """Mean over IoU; images count as often as their weight, NaN where no instance is there."""
        there = int(self.there @ weights)
        if not there:
            return float("nan")
        often = weights[self.image]
        seen = np.maximum(np.cumsum(often), 1)
        hits = self.levels[None] >> np.array(bits)[:, None] & 1
        rights = np.cumsum(often * hits, axis=1)
        envelopes = np.maximum.accumulate((rights / seen)[:, ::-1], axis=1)[:, ::-1]
        values = [
            np.append(envelope, 0.0)[np.searchsorted(right / there, _RECALLS)].mean()
            for right, envelope in zip(rights, envelopes, strict=True)
        ]
        return float(np.mean(values))
