"""Compares objects with the ground truth of each ask, at the evaluation resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

import cv2
import numpy as np

from ipseg.bank import Bank
from ipseg.benchmarks.episode import Box
from ipseg.benchmarks.ground_truth import GroundTruth, read_ground_truth, rle_address
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.metrics import Boundary, Region
from ipseg.objects import Object
from ipseg.rows import Mask, Row, Step
from ipseg.storage.files import exists
from ipseg.vision.masks import encode_rle


@dataclass
class FindGroundTruth(Step):
    """Adds the ground truth of a folder: `ROOT/<concept>/<key>.png`, or `ROOT/<key>.png`.

    The suffix of the key gives way to .png. With folders for concepts, a missing mask says that the
    concept is absent from the image; without, that the image has no ground truth.

    Attributes:
        root: folder or fsspec URL of the ground truth; any non-zero pixel is object.
        concepts: concept -> category id.
        by_concept: whether ROOT has a folder for each concept.
    """

    root: str
    concepts: dict[str, int]
    by_concept: bool

    name: ClassVar[str] = "ground-truth"
    requires: ClassVar[tuple[str, ...]] = ("key", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("asks",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `asks`, one for each concept that the ground truth says something of."""
        return [{**row, "asks": list(self._asks(row))} for row in rows]

    def _asks(self, row: Row) -> list[dict[str, Any]]:
        asks = []
        asked = {ask["concept"] for ask in row.get("asks") or ()} or set(self.concepts)
        for concept, category_id in self.concepts.items():
            if concept not in asked:
                continue
            path = next(filter(exists, self._paths(row["key"], concept)), None)
            if path is not None:
                address = f"{path}#object"
            elif self.by_concept:
                absent = np.zeros((row["height"], row["width"]), bool)
                address = rle_address(encode_rle(absent))
            else:
                continue
            asks.append(
                {
                    **{"concept": concept, "class_id": category_id, "class_name": concept},
                    **{"fold": "", "frame": 0, "ground_truth": address},
                }
            )
        return asks

    def _paths(self, key: str, concept: str) -> list[str]:
        """Where the mask may be: a key in the concept's own folder need not repeat it."""
        if not self.by_concept:
            return [mask_path(self.root, key, None)]
        whole = mask_path(self.root, f"{concept}/{key}", concept)
        return list(dict.fromkeys([whole, mask_path(self.root, key, concept)]))


def mask_path(root: str, key: str, concept: str | None) -> str:
    """Where the mask of a key is; a key or concept that would leave the root is refused.

    A key that begins with the concept's folder, as in `images/cow/1.jpg`, does not repeat it.

    Raises:
        SourceError: the key or concept is absolute or has a '..' part.
    """
    parts = PurePosixPath(key).parts
    if concept is not None and parts[:1] != (concept,):
        parts = (concept, *parts)
    if "/" in parts or ".." in parts or any("\\" in part or "\0" in part for part in parts):
        raise SourceError(f"key {key!r} cannot be used as a file name below {root}")
    return f"{root.rstrip('/')}/{PurePosixPath(*parts).with_suffix('.png')}"


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
    uses: ClassVar[tuple[str, ...]] = ("crop", "chain_errors")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `metrics`; one that says "failed" where nothing could be compared."""
        return [{**row, "metrics": self._metrics(row)} for row in rows]

    def _metrics(self, row: Row) -> list[dict[str, Any]]:
        lost = {e["chain"]: e["error_message"] for e in row.get("chain_errors", ())}
        metrics = []
        for variant, bank in self.banks.items():
            objects = [each for each in row["objects"] if each.variant == variant]
            masks = self._masks(objects, row)
            for ask in row["asks"]:
                why = lost.get(variant) or bank.failure(ask["concept"])
                mine = [each for each in objects if _place(each) == (ask["concept"], ask["frame"])]
                metric = {name: ask.get(name) for name in _ASKED} | {"variant": variant}
                if why is not None:
                    metrics.append({**metric, "status": "failed", "error_message": why[:500]})
                    continue
                found = masks.get((ask["concept"], ask["frame"]))
                metrics.append({**metric, **_scores(mine), **self._judged(row, ask, found)})
        return metrics

    def _masks(self, objects: Sequence[Object], row: Row) -> dict[tuple[str, int], Mask]:
        """(concept, frame) -> mask of all its objects."""
        masks: dict[tuple[str, int], Mask] = {}
        scores: dict[tuple[str, int], float] = {}
        for each in objects:
            place = _place(each)
            known = masks.get(place)
            masks[place] = each.mask if known is None else known | each.mask
            scores[place] = max(scores.get(place, 0.0), each.score)
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

    def _judged(self, row: Row, ask: dict[str, Any], found: Mask | None) -> dict[str, Any]:
        size = (row["width"], row["height"])
        try:
            truth = ground_truth_at(ask["ground_truth"], size, row.get("crop"))
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
        return {"status": "ok", "error_message": None, **counts}


_ASKED = ("concept", "episode", "fold", "class_id", "class_name", "frame")


def _place(item: Object) -> tuple[str, int]:
    return item.concept, item.frame


def _scores(objects: Sequence[Object]) -> dict[str, float | None]:
    best = max(objects, key=lambda each: each.score, default=None)
    if best is None:
        return {"score": 0.0, "predicted_iou": 0.0}
    return {"score": best.score, "predicted_iou": best.predicted_iou}


def ground_truth_at(
    address: str, size: tuple[int, int] | None, crop: Box | list[int] | None
) -> GroundTruth:
    """Ground truth of an image, or of a part of it.

    Args:
        address: as for `read_ground_truth`.
        size: width and height of the image (or part) in pixels; None takes any.
        crop: x0, y0, x1, y1 of the part.

    Raises:
        SourceError: it has another size than the image, or none is known.
        OSError: it cannot be read.
    """
    if not address:
        raise SourceError("this image has no ground truth")
    truth = read_ground_truth(address)
    mask, void = truth.mask, truth.ignore
    if crop is not None:
        x0, y0, x1, y1 = crop
        mask = mask[y0:y1, x0:x1]
        void = None if void is None else void[y0:y1, x0:x1]
    if size is not None and mask.shape != (size[1], size[0]):
        raise SourceError(
            f"{address[:200]} is {mask.shape[1]}x{mask.shape[0]} pixels, its image "
            f"{size[0]}x{size[1]}"
        )
    return GroundTruth(mask, void)


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
