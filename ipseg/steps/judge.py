"""Compares objects with the ground truth of each ask, at the evaluation resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from ipseg.bank import Bank
from ipseg.benchmarks.ground_truth import LabelMaps, file_of, ground_truth_at
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.metrics import Boundary, Region
from ipseg.objects import Object, without_weak
from ipseg.rows import Mask, Row, Step


@dataclass
class Judge(Step):
    """One metric for each ask of a row and each variant.

    Attributes:
        protocol: how masks are compared.
        banks: label of each variant -> its bank.
    """

    protocol: Protocol
    banks: dict[str, Bank]

    name: ClassVar[str] = "judge"
    requires: ClassVar[tuple[str, ...]] = ("objects", "asks", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("metrics",)
    uses: ClassVar[tuple[str, ...]] = ("crop", "orientation", "chain_errors")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `metrics`: none for an ask without ground truth, a failed one where it fails."""
        return [{**row, "metrics": self._metrics(row)} for row in rows]

    def _metrics(self, row: Row) -> list[dict[str, Any]]:
        lost = {e["chain"]: e["error_message"] for e in row.get("chain_errors", ())}
        metrics = []
        maps = LabelMaps()
        for variant, bank in self.banks.items():
            objects = [each for each in row["objects"] if each.variant == variant]
            masks = self._masks(objects, row)
            for ask in row["asks"]:
                if ask.get("ground_truth") is None:
                    continue
                why = lost.get(variant) or bank.failure(ask["concept"])
                mine = [each for each in objects if _place(each) == (ask["concept"], ask["frame"])]
                metric = {name: ask.get(name) for name in _ASKED} | {"variant": variant}
                metric["mask"] = file_of(ask["ground_truth"])
                if why is not None:
                    metrics.append({**metric, "status": "failed", "error_message": why[:500]})
                    continue
                found = masks.get((ask["concept"], ask["frame"]))
                metrics.append({**metric, **scores_of(mine), **self._judged(row, ask, found, maps)})
        return metrics

    def _masks(self, objects: Sequence[Object], row: Row) -> dict[tuple[str, int], Mask]:
        """(concept, frame) -> mask of all its objects but the weak ones."""
        masks: dict[tuple[str, int], Mask] = {}
        scores: dict[tuple[str, int], float] = {}
        for each in without_weak(objects):
            place = _place(each)
            scores[place] = max(scores.get(place, 0.0), each.score)
            known = masks.get(place)
            masks[place] = each.mask if known is None else known | each.mask
        if self.protocol.assign != "argmax":
            return masks
        frames = dict.fromkeys(frame for _, frame in masks)
        return {
            place: mask
            for frame in frames
            for place, mask in assign_argmax(
                {p: m for p, m in masks.items() if p[1] == frame}, scores
            ).items()
        }

    def _judged(
        self, row: Row, ask: dict[str, Any], found: Mask | None, maps: LabelMaps
    ) -> dict[str, Any]:
        size = (row["width"], row["height"])
        turned = (row.get("orientation", 1), self.protocol.mask_orientation)
        try:
            truth = ground_truth_at(ask["ground_truth"], size, row.get("crop"), *turned, maps)
        except (SourceError, OSError) as error:  # this ask cannot be judged, others can
            return {"status": "failed", "error_message": str(error)[:500]}
        protocol = self.protocol
        if found is None:
            found = np.zeros((size[1], size[0]), bool)
        predicted = resize_mask(found, protocol.side, "nearest")
        mask = resize_mask(truth.mask, protocol.side, protocol.ground_truth_resize)
        void = None if truth.ignore is None else resize_mask(truth.ignore, protocol.side, "nearest")
        counts = asdict(Region.of(predicted, mask, void))
        if protocol.boundaries:
            counts |= asdict(Boundary.of(predicted, mask, void))
        return {"status": "ok", "error_message": None, "turned": truth.turned, **counts}


_ASKED = ("concept", "episode", "fold", "class_id", "class_name", "frame")


def _place(item: Object) -> tuple[str, int]:
    return item.concept, item.frame


def scores_of(objects: Sequence[Object]) -> dict[str, float | None]:
    """Score and predicted IoU, as a metric has them: of the object with the highest score."""
    best = max(objects, key=lambda each: each.score, default=None)
    if best is None:
        return {"score": 0.0, "predicted_iou": 0.0}
    return {"score": best.score, "predicted_iou": best.predicted_iou}


def resize_mask(mask: Mask, side: int | None, rule: str) -> Mask:
    """A mask at the evaluation resolution, (side, side), whatever its shape was.

    Args:
        mask: (H, W) bool.
        side: pixels; None leaves it as it is.
        rule: "nearest", or "linear" and then above zero, which adds a border (IPSeg's release).
    """
    if side is None or mask.shape == (side, side):
        return mask
    how = cv2.INTER_NEAREST if rule == "nearest" else cv2.INTER_LINEAR
    # 255 and not 1: OpenCV rounds, and a border of faint values would be lost.
    levels = mask.astype(np.uint8) * 255
    return np.asarray(cv2.resize(levels, (side, side), interpolation=how) > 0)


def assign_argmax(
    masks: dict[tuple[str, int], Mask], scores: dict[tuple[str, int], float]
) -> dict[tuple[str, int], Mask]:
    """Masks that do not overlap: each pixel belongs to the concept with the highest score there.

    Where nothing was found is background. Among equal scores the first by name wins.
    """
    taken: Mask | None = None
    alone: dict[tuple[str, int], Mask] = {}
    for place in sorted(masks, key=lambda place: (-scores[place], place)):
        mask = masks[place]
        alone[place] = mask if taken is None else mask & ~taken
        taken = mask if taken is None else taken | mask
    return alone
