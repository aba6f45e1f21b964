"""Instances found against instances that are there: one to one, by their masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from ipseg.metrics.episode_counts import LEVELS
from ipseg.vision.masks import RLE, encode_rle


def matched(
    scores: Sequence[float], found: Sequence[RLE], truth: Sequence[RLE], least: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Which of the found masks show an instance, as COCO's evaluation assigns them.

    In order of their scores each takes the free instance that it overlaps most.

    Args:
        scores: of the found masks.
        found: masks in one image, of one concept.
        truth: masks of the instances.
        least: IoU that counts.

    Returns:
        (n,) bool for the found masks.
    """
    return _assigned(scores, _overlaps(found, truth), least)


def levels(
    scores: Sequence[float], found: Sequence[RLE], truth: Sequence[RLE]
) -> npt.NDArray[np.int32]:
    """`matched` at each of `LEVELS`: (n,), bit k is set where it is so at `LEVELS[k]`."""
    overlaps = _overlaps(found, truth)
    bits = np.zeros(len(found), np.int32)
    for number, least in enumerate(LEVELS):
        bits |= _assigned(scores, overlaps, least).astype(np.int32) << number
    return bits


def instances_of(numbers: npt.NDArray[np.integer]) -> list[RLE]:
    """The instances of ground truth that numbers them: (H, W), 0 is none."""
    return [encode_rle(np.asarray(numbers == each)) for each in np.unique(numbers) if each]


def against_instances(
    scores: Sequence[float],
    found: Sequence[RLE],
    notable: Sequence[bool],
    truth: Sequence[RLE],
) -> dict[str, Any]:
    """What a result says of the instances in one image, columns of `ipseg.benchmarks.results`.

    Args:
        scores: of all that was found.
        found: masks.
        notable: which of them count as found; the others only in a ranking by scores.
        truth: masks of the instances.
    """
    bits = levels(scores, found, truth)
    return {
        "instances": len(truth),
        "instances_found": int(np.sum(notable)),
        "instances_matched": int(np.sum((bits & 1).astype(bool) & np.asarray(notable, bool))),
        "instance_scores": [float(each) for each in scores],
        "instance_levels": bits.tolist(),
    }


def _overlaps(found: Sequence[RLE], truth: Sequence[RLE]) -> npt.NDArray[np.float64]:
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    encoded = [[{**m, "counts": m["counts"].encode()} for m in each] for each in (found, truth)]
    return np.asarray(coco.iou(*encoded, [0] * len(truth)))


def _assigned(
    scores: Sequence[float], overlaps: npt.NDArray[np.float64], least: float
) -> npt.NDArray[np.bool_]:
    hit = np.zeros(len(overlaps), bool)
    if not overlaps.size:
        return hit
    free = overlaps.copy()
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        best = int(free[index].argmax())
        if free[index, best] >= least:
            hit[index] = True
            free[:, best] = -1
    return hit


@dataclass
class Detections:
    """Scores of found masks, whether each shows an instance, and how many there are to be found."""

    scores: list[float] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    instances: int = 0

    def add(self, scores: Iterable[float], hits: Iterable[bool], instances: int) -> None:
        """Counts one image and concept."""
        self.scores += map(float, scores)
        self.hits += map(bool, hits)
        self.instances += instances

    def at(self, threshold: float) -> tuple[float, float]:
        """Recall and precision of the masks with at least this score; precision of none is 1."""
        kept = np.asarray(self.scores) >= threshold
        right = int((kept & np.asarray(self.hits, bool)).sum())
        recall = right / self.instances if self.instances else 1.0
        return recall, right / int(kept.sum()) if kept.any() else 1.0

    def best(self) -> tuple[float, float, float]:
        """Threshold with the highest F1 (of equal ones the highest), its recall and precision."""
        best = (-1.0, 1.0, 0.0, 1.0)
        for threshold in sorted(set(self.scores), reverse=True):
            recall, precision = self.at(threshold)
            f1 = 2 * recall * precision / max(recall + precision, 1e-9)
            if f1 > best[0]:
                best = (f1, threshold, recall, precision)
        return best[1:]
