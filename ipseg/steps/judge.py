"""Compares objects with the ground truth of each ask, at the evaluation resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

import cv2
import numpy as np

from ipseg.bank import Bank
from ipseg.benchmarks.ground_truth import LabelMaps, file_of, ground_truth_at
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.metrics import Boundary, Region
from ipseg.metrics.instances import against_instances, instances_of
from ipseg.objects import Object, best_scores, without_weak
from ipseg.rows import Mask, Row, Step
from ipseg.vision.masks import RLE, decode_rle


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
        asks = [ask for ask in row["asks"] if ask.get("ground_truth") is not None]
        asks.sort(key=itemgetter("frame"))
        # Frame by frame: the masks of a long video are never there together.
        return [
            metric
            for frame, of_frame in groupby(asks, itemgetter("frame"))
            for metric in self._of_frame(row, frame, list(of_frame))
        ]

    def _of_frame(
        self, row: Row, frame: int, asks: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        lost = {e["chain"]: e["error_message"] for e in row.get("chain_errors", ())}
        metrics = []
        maps = LabelMaps()
        for variant, bank in self.banks.items():
            objects = [o for o in row["objects"] if (o.variant, o.frame) == (variant, frame)]
            masks = self._masks(objects)
            for ask in asks:
                why = lost.get(variant) or bank.failure(ask["concept"])
                mine = [each for each in objects if each.concept == ask["concept"]]
                metric = {name: ask.get(name) for name in _ASKED} | {"variant": variant}
                metric["mask"] = file_of(ask["ground_truth"])
                if why is not None:
                    metrics.append({**metric, "status": "failed", "error_message": why[:500]})
                    continue
                found = masks.get(ask["concept"])
                judged = self._judged(row, ask, found, mine, maps)
                metrics.append({**metric, **scores_of(mine), **judged})
        return metrics

    def _masks(self, objects: Sequence[Object]) -> dict[str, Mask]:
        """Concept -> mask of all its objects in a frame but the weak ones."""
        masks: dict[str, Mask] = {}
        for each in without_weak(objects):
            mask = decode_rle(each.segmentation)
            known = masks.get(each.concept)
            masks[each.concept] = mask if known is None else known | mask
        if self.protocol.assign != "argmax":
            return masks
        return assign_argmax(masks, best_scores(objects))

    def _judged(
        self,
        row: Row,
        ask: dict[str, Any],
        found: Mask | None,
        mine: Sequence[Object],
        maps: LabelMaps,
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
        each = {} if truth.instances is None else _instances(mine, instances_of(truth.instances))
        return {"status": "ok", "error_message": None, "turned": truth.turned, **counts, **each}


_ASKED = ("concept", "episode", "fold", "class_id", "class_name", "frame")


def _instances(objects: Sequence[Object], truth: Sequence[RLE]) -> dict[str, Any]:
    """What is compared instance by instance, at the size of the image."""
    strong = {id(each) for each in without_weak(objects)}
    notable = [id(each) in strong for each in objects]
    confidence = [each.confidence for each in objects]
    return against_instances(confidence, [o.segmentation for o in objects], notable, truth)


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


def assign_argmax(masks: Mapping[str, Mask], scores: Mapping[str, float]) -> dict[str, Mask]:
    """Masks that do not overlap: each pixel belongs to the concept with the highest score there.

    Where nothing was found is background. Among equal scores the first by name wins.
    """
    taken: Mask | None = None
    alone: dict[str, Mask] = {}
    for concept in sorted(masks, key=lambda concept: (-scores[concept], concept)):
        mask = masks[concept]
        alone[concept] = mask if taken is None else mask & ~taken
        taken = mask if taken is None else taken | mask
    return alone
