"""Instances found against instances that are there: one to one, by their masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from ipseg.vision.masks import RLE


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
    hit = np.zeros(len(found), bool)
    if not found or not truth:
        return hit
    encoded = [[{**m, "counts": m["counts"].encode()} for m in each] for each in (found, truth)]
    overlap = np.asarray(coco.iou(*encoded, [0] * len(truth)))
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        best = int(overlap[index].argmax())
        if overlap[index, best] >= least:
            hit[index] = True
            overlap[:, best] = -1
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
