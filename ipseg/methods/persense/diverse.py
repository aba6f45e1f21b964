"""Exemplars of different sizes that look like the first one: the selection of PerSense++.

Source: PerSense++ (arXiv 2508.14660), facts about its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from ipseg.crowd import Boxes

Numbers = npt.NDArray[np.float64]

_CLUSTERS = 3
_SEED = 42
_CERTAIN = 0.8  # predicted IoU of a candidate, where there are as many as there are sizes
_SIZES = (33, 66)  # percentiles of area between small, medium and large
_SAME = 0.5  # IoU of two boxes of the same object
_SHARE = 0.25  # of each of the four terms in the value of a box


@dataclass(frozen=True)
class DiverseExemplars:
    """The selection.

    Attributes:
        plusplus_similarity_index: `released` gives a box the likeness to its cluster of another
            one, because it looks it up in a list from which boxes are missing.
        plusplus_zero_distance: from the mean area, whose logarithm the value of a box falls with:
            `released` lets a box of exactly that area win whatever else there is; `fixed` takes the
            logarithm of 1 more.
    """

    plusplus_similarity_index: Literal["released", "fixed"] = "fixed"
    plusplus_zero_distance: Literal["released", "fixed"] = "fixed"

    def chosen(self, boxes: Boxes, scores: Numbers, features: Numbers, first: Numbers) -> list[int]:
        """Indices of at most three boxes: the best small, medium and large one.

        Args:
            boxes: (n, 4) x, y, x, y, n >= 3; without that of the first exemplar.
            scores: (n,) predicted IoU of their masks.
            features: (n, c) of what is in them.
            first: (c,) of the first exemplar.
        """
        able = np.flatnonzero(scores > 0) if (scores > 0).any() else np.arange(len(boxes))
        sides = boxes[able, 2:] - boxes[able, :2]
        area = sides.prod(axis=1)
        ratio = sides.max(axis=1) / np.maximum(sides.min(axis=1), 1e-9)
        likeness, cluster = _clusters(features[able])
        certain = scores[able] > _CERTAIN
        kept = certain if certain.sum() >= _CLUSTERS else np.ones(len(able), bool)
        places = np.flatnonzero(kept)
        # As released, boxes are listed cluster by cluster.
        places = places[np.argsort(cluster[places], kind="stable")]
        own = likeness[places]
        if self.plusplus_similarity_index == "released":
            own = likeness[: len(places)]
        off = np.abs(area[places] - area.mean())
        with np.errstate(divide="ignore"):
            near = np.log1p(off) if self.plusplus_zero_distance == "fixed" else np.log(off)
        alike = _cosine(features[able][places], first)
        alike = np.where(alike < 0, (alike + 1) / 2, alike)
        value = _SHARE * (own - near + alike - np.abs(ratio[places] - ratio.mean()))
        picks = _best_of_sizes(area[places], value)
        picks = _apart(boxes[able][places], area[places], picks)
        return [int(able[places[pick]]) for pick in picks]


def _clusters(features: Numbers) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """For each of n features its likeness to the centre of its cluster in [0, 1], and the cluster.

    With too few of them there is one cluster, of which all are.
    """
    if len(features) < _CLUSTERS:
        return np.ones(len(features)), np.zeros(len(features), np.int64)
    deviation = features.std(axis=0)
    standard = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    distinct = len(np.unique(standard, axis=0))
    found = KMeans(min(_CLUSTERS, distinct), random_state=_SEED, n_init=10).fit(standard)
    centres = found.cluster_centers_[found.labels_]
    return (_cosine(standard, centres) + 1) / 2, found.labels_.astype(np.int64)


def _cosine(one: Numbers, other: Numbers) -> Numbers:
    """Of each of (n, c) with (n, c) or (c,); 0 where one of them is zero."""
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((one * other).sum(axis=-1) / np.maximum(lengths, 1e-12))


def _best_of_sizes(area: Numbers, value: Numbers) -> list[int]:
    """The best small, medium and large one; a size of which there is none is left out."""
    low, high = np.percentile(area, _SIZES)
    of_size = (area <= low, (area > low) & (area <= high), area > high)
    return [
        int(members[np.argmax(value[members])])
        for members in map(np.flatnonzero, of_size)
        if len(members)
    ]


def _apart(boxes: Boxes, area: Numbers, picks: list[int]) -> list[int]:
    """The same without boxes of the same object, filled up from the list, until nothing changes."""
    for _ in range(len(boxes)):
        kept = _without_overlaps(boxes, area, picks)
        free = (n for n in range(len(kept), len(boxes)) if n not in kept)
        filled = kept + [n for _, n in zip(range(_CLUSTERS - len(kept)), free, strict=False)]
        if filled == picks:
            break
        picks = filled
    return _without_overlaps(boxes, area, picks)


def _without_overlaps(boxes: Boxes, area: Numbers, picks: list[int]) -> list[int]:
    """Of two boxes of the same object the smaller one is left out, of equal ones the earlier."""
    left = list(picks)
    for place, one in enumerate(picks):
        for other in picks[place + 1 :]:
            if one in left and other in left and _overlap(boxes[one], boxes[other]) > _SAME:
                left.remove(one if area[one] <= area[other] else other)
    return left


def _overlap(one: Numbers, other: Numbers) -> float:
    shared = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.clip(shared, 0, None).prod())
    either = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - both
    return both / either if either > 0 else 0.0
