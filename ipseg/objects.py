"""The object: what methods find, shards store, reports draw and metrics judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ipseg.rows import Mask
from ipseg.vision.masks import RLE, decode_rle, encode_rle, rle_area, rle_bbox

CONVINCING = 0.5  # least confidence, where scores themselves suggest no other
PRESENCE = "presence"  # name of this evidence

RLE_TYPE = pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])
POINT = pa.struct([("x", pa.float32()), ("y", pa.float32()), ("label", pa.int8())])
OBJECT = pa.struct(
    [
        ("variant", pa.string()),  # settings that found it; "" where there is one set of settings
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("instance", pa.int32()),
        ("frame", pa.int32()),
        ("bbox", pa.list_(pa.float32(), 4)),  # x, y, width, height, pixels
        ("area", pa.int64()),  # pixels of the mask; exact, which float32 is not from 2^24 on
        ("iscrowd", pa.int8()),
        ("segmentation", RLE_TYPE),
        ("score", pa.float32()),
        ("predicted_iou", pa.float32()),
        ("evidence", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float32())]))),
        ("status", pa.string()),
        ("points", pa.list_(POINT)),
    ]
)


def encode_points(points: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    """(n, 3) x, y, label, as a list that Arrow can hold, type `POINT`."""
    return [{"x": x, "y": y, "label": int(label)} for x, y, label in points]


def decode_points(items: Iterable[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
    """The inverse of `encode_points`."""
    return np.array([(p["x"], p["y"], p["label"]) for p in items], np.float32).reshape(-1, 3)


@dataclass(frozen=True)
class Object:
    """One mask of one concept in one image or frame.

    Attributes:
        concept: name of the entry of the bank that it matches.
        category_id: of the concept, from 1; 0 is background.
        segmentation: the mask as COCO run lengths.
        score: confidence in [0, 1] that it is the concept, well outlined.
        predicted_iou: the segmenter's own estimate of the outline; None where there is none.
        instance: number among the objects of its concept in its image or sequence, from 0; in a
            sequence the same instance has the same number in every frame.
        frame: index in the sequence; 0 in a still image.
        evidence: further numbers that speak for or against it, by name.
        points: (n, 3) float32: x, y in pixels of the image, label 1 on the object and 0 off it.
        variant: label of the settings that found it, "" where there is one set of settings.
        status: "auto" until somebody reviews it.
    """

    concept: str
    category_id: int
    segmentation: RLE = field(repr=False)
    score: float
    predicted_iou: float | None = None
    instance: int = 0
    frame: int = 0
    evidence: Mapping[str, float | None] = field(default_factory=dict)
    points: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 3), np.float32), repr=False, compare=False
    )
    variant: str = ""
    status: str = "auto"

    @staticmethod
    def of(concept: str, category_id: int, mask: Mask, score: float, **more: Any) -> Object:  # noqa: ANN401
        """An object from its (H, W) bool mask; `more` are other fields."""
        return Object(concept, category_id, encode_rle(mask), score, **more)

    @cached_property
    def mask(self) -> Mask:
        """(H, W) bool. Raises ValueError if the run lengths are damaged."""
        return decode_rle(self.segmentation)

    @property
    def confidence(self) -> float:
        """The score, or the evidence that the concept is there at all, whichever is lower.

        What thresholds are compared with: a score of a published method can speak of the outline
        alone. Where a method has no such evidence (None included), it is the score.
        """
        presence = self.evidence.get(PRESENCE)
        return self.score if presence is None else min(self.score, presence)

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return rle_area(self.segmentation)

    @cached_property
    def bbox(self) -> list[float]:
        """[x, y, width, height] in pixels, zeros if the mask is empty."""
        return rle_bbox(self.segmentation)

    def record(self) -> dict[str, Any]:
        """As stored in shards, type `OBJECT`; box and area are computed from the run lengths."""
        return {
            **{name: getattr(self, name) for name in _STORED},
            "bbox": self.bbox,
            "area": self.area,
            "iscrowd": 0,
            "evidence": [{"name": n, "value": value} for n, value in self.evidence.items()],
            "points": encode_points(self.points),
        }

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Object:
        """The inverse of `record`; fields that are missing or null take their defaults."""
        return Object(
            **{name: record[name] for name in _STORED if record.get(name) is not None},
            evidence={each["name"]: each["value"] for each in record.get("evidence") or ()},
            points=decode_points(record.get("points") or ()),
        )


_STORED = (
    *("variant", "concept", "category_id", "instance", "frame", "segmentation"),
    *("score", "predicted_iou", "status"),
)


def best_scores(objects: Iterable[Object]) -> dict[str, float]:
    """Concept -> highest score of its objects."""
    scores: dict[str, float] = {}
    for each in objects:
        scores[each.concept] = max(each.score, scores.get(each.concept, each.score))
    return scores


def confidence_of(record: Mapping[str, Any]) -> float:
    """`Object.confidence` of an object as stored; segmentation and points need not be there."""
    presence = (e["value"] for e in record["evidence"] or () if e["name"] == PRESENCE)
    return min([record["score"], *(value for value in presence if value is not None)])


def best_confidence(objects: Iterable[Object]) -> float:
    """The highest confidence among objects, 0 if there is none."""
    return max((each.confidence for each in objects), default=0.0)


NOTABLE_SHARE, NOTABLE_SCORE = 0.5, 0.1


def without_weak(objects: Iterable[Object]) -> list[Object]:
    """Objects with at least half of the best score of their concept in their frame.

    Methods that look for instances keep weak ones too, so that a threshold can be chosen later.
    What people accepted is not weak.
    """
    listed = list(objects)
    best: dict[tuple[str, int], float] = {}
    for each in listed:
        place = (each.concept, each.frame)
        best[place] = max(each.score, best.get(place, each.score))
    return [
        each
        for each in listed
        if each.status != "auto" or each.score >= NOTABLE_SHARE * best[each.concept, each.frame]
    ]


def highest(scores: Mapping[str, float]) -> str | None:
    """The concept with the highest score, the last by name among equals; None if there is none."""
    return max(scores, key=lambda concept: (scores[concept], concept), default=None)


def notable(scores: Mapping[str, float], min_score: float | None = None) -> list[str]:
    """Concepts worth drawing: those with at least `min_score`, or else those near the best.

    Near the best: half of the best score and at least 0.1; the best one alone where none is.
    """
    if min_score is not None:
        return [concept for concept, score in scores.items() if score >= min_score]
    best = highest(scores)
    if best is None:
        return []
    least = max(NOTABLE_SHARE * scores[best], NOTABLE_SCORE)
    return [concept for concept, score in scores.items() if score >= least] or [best]
