"""What a second round changed: two runs over the same images, concept by concept."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.vision.masks import RLE
from pipeline.labels.review import Review, Verdict
from pipeline.labels.selection import Selection, select
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import Place, read_placed

SAME = 0.5  # IoU from which two masks are of the same object
_STEADY = 0.75  # IoU of boxes from which the labels of an image have not moved
_SHOWN = 6  # images with the largest changes

Labels = npt.NDArray[np.float32]  # (P, 5) for P concepts: confidence, 0 without labels; their box


@dataclass
class Changes:
    """What changed for one concept.

    Attributes:
        both: images that have labels in both rounds, at about the same place.
        moved: images that have labels in both, elsewhere or of another size.
        new: images that only the second round finds it in.
        lost: images that only the first round found it in.
        accepted, kept: masks of the first round that people accepted or repaired, and those of them
            that the second round has, too.
        rejected, gone: masks that people rejected, and those that the second round has not.
    """

    both: int = 0
    moved: int = 0
    new: int = 0
    lost: int = 0
    accepted: int = 0
    kept: int = 0
    rejected: int = 0
    gone: int = 0


@dataclass
class Rounds:
    """Two rounds side by side.

    Attributes:
        images: that both rounds have.
        replaced: those of them that are another image in the second round.
        changes: concept -> what changed; concepts of either round.
        largest: places (first round, second round) of the images that changed most.
    """

    images: int = 0
    replaced: int = 0
    changes: dict[str, Changes] = field(default_factory=dict)
    largest: list[tuple[Place, Place]] = field(default_factory=list)


def compare_rounds(before: str, after: str, min_score: float | None = None) -> Rounds:
    """Compares two runs image by image, by their keys.

    Memory is for each image of the first round some 40 bytes, and 20 for each concept.

    Args:
        before: run folder of the first round.
        after: run folder of the second.
        min_score: least score of a label; None for the thresholds that each round suggests.

    Raises:
        OutputError: either is no run, has no parts, or cannot be read.
    """
    if min_score is None:
        first, second = (select(out, threshold="suggested") for out in (before, after))
    else:
        first = second = Selection(min_score=min_score)
    concepts = list(dict.fromkeys([*_concepts(before), *_concepts(after)]))
    known, decided = _known(before, first, concepts)
    rounds = Rounds(changes={name: Changes() for name in concepts})
    largest: list[tuple[float, str, tuple[Place, Place]]] = []
    for place, record in read_placed(after, ["objects", "content_hash"]):
        was = known.find(record["key_hash"])
        if was is None:
            continue
        rounds.images += 1
        content = _content(record)
        rounds.replaced += bool(content and was[2] and content != was[2])
        labels = second.of(place.key, _objects(record), Review([]))
        change = _count(rounds, concepts, was[0], _boxes(labels, concepts))
        if change > 0:
            entry = (change, place.key, (Place(place.key, *was[1]), place))
            (heapq.heappush if len(largest) < _SHOWN else heapq.heappushpop)(largest, entry)
        for found, verdict in decided.get(place.key, ()):
            _follow(rounds.changes, found, verdict, labels)
    rounds.largest = [pair for _, _, pair in sorted(largest, reverse=True)]
    return rounds


def _concepts(out: str) -> list[str]:
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    return list(manifest.about["concepts"])


class _Known:
    """Labels of the first round by the hash of their keys, as flat arrays."""

    def __init__(self, concepts: int) -> None:
        self._shape = (-1, concepts, 5)
        self._hashes, self._contents = array("Q"), array("Q")
        self._places, self._labels = array("q"), array("f")
        self._parts: list[str] = []
        self._order: npt.NDArray[np.int64] | None = None

    def add(self, key_hash: bytes, content: int, place: Place, labels: Labels) -> None:
        if not self._parts or self._parts[-1] != place.part:
            self._parts.append(place.part)
        self._hashes.append(_number(key_hash))
        self._contents.append(content)
        self._places.extend((len(self._parts) - 1, place.index))
        self._labels.frombytes(labels.tobytes())

    def find(self, key_hash: bytes) -> tuple[Labels, tuple[str, int], int] | None:
        """The labels, part and index of the row, and `_content`; None if there is no such key."""
        hashes = np.frombuffer(self._hashes, np.uint64)
        if self._order is None:
            self._order = np.argsort(hashes)
        wanted = np.uint64(_number(key_hash))
        rank = int(np.searchsorted(hashes, wanted, sorter=self._order))
        if rank == len(hashes) or hashes[index := int(self._order[rank])] != wanted:
            return None
        part, row = self._places[2 * index : 2 * index + 2]
        labels = np.frombuffer(self._labels, np.float32).reshape(self._shape)[index]
        return labels, (self._parts[part], row), self._contents[index]


def _number(key_hash: bytes) -> int:
    return int.from_bytes(key_hash[:8], "big")


def _content(record: Mapping[str, Any]) -> int:
    """A number for the encoded image; 0 if it is not known."""
    return int((record["content_hash"] or "0")[:16], 16)


def _known(
    out: str, selection: Selection, concepts: Sequence[str]
) -> tuple[_Known, dict[str, list[tuple[Object, Verdict]]]]:
    """The first round, and the objects in it that people decided about."""
    review, known = Review.read(out), _Known(len(concepts))
    decided: dict[str, list[tuple[Object, Verdict]]] = {}
    for place, record in read_placed(out, ["objects", "content_hash"]):
        objects = _objects(record)
        labels = selection.of(place.key, objects, Review([]))
        known.add(record["key_hash"], _content(record), place, _boxes(labels, concepts))
        if place.key in review.keys:
            verdicts = [(each, review.verdict(place.key, each)) for each in objects]
            decided[place.key] = [each for each in verdicts if each[1].decided]
    return known, decided


def _objects(record: Mapping[str, list[Mapping[str, object]]]) -> list[Object]:
    return [Object.from_record(each) for each in record["objects"] or ()]


def _boxes(labels: Sequence[Object], concepts: Sequence[str]) -> Labels:
    found = np.zeros((len(concepts), 5), np.float32)
    for index, concept in enumerate(concepts):
        if mine := [each for each in labels if each.concept == concept]:
            x, y, width, height = np.array([each.bbox for each in mine]).T
            box = (x.min(), y.min(), (x + width).max(), (y + height).max())
            found[index] = (max(each.confidence for each in mine), *box)
    return found


def _count(rounds: Rounds, concepts: Sequence[str], was: Labels, now: Labels) -> float:
    """Counts the changes of one image, and says how large the largest of them is."""
    largest = 0.0
    for concept, old, new in zip(concepts, was, now, strict=True):
        changes = rounds.changes[concept]
        if old[0] and new[0]:
            overlap = _overlap(old[1:], new[1:])
            changes.both += overlap >= _STEADY
            changes.moved += overlap < _STEADY
            largest = max(largest, (1 - overlap) if overlap < _STEADY else 0.0)
        else:
            changes.lost += bool(old[0])
            changes.new += bool(new[0])
            largest = max(largest, float(old[0] + new[0]))
    return largest


def _overlap(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """IoU of two boxes x0, y0, x1, y1."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common)


def _follow(
    changes: Mapping[str, Changes], found: Object, verdict: Verdict, labels: Sequence[Object]
) -> None:
    """Counts whether the second round agrees with what was decided about an object."""
    concept = found.concept if verdict.status == "rejected" else verdict.concept or found.concept
    if concept not in changes:
        return
    mask = verdict.segmentation or found.segmentation
    there = any(
        each.frame == found.frame and each.concept == concept and _same(mask, each.segmentation)
        for each in labels
    )
    if verdict.status == "rejected":
        changes[concept].rejected += 1
        changes[concept].gone += not there
    else:
        changes[concept].accepted += 1
        changes[concept].kept += there


def _same(a: RLE, b: RLE) -> bool:
    if list(a["size"]) != list(b["size"]):  # the image was replaced since
        return False
    encoded = [{"size": list(e["size"]), "counts": e["counts"].encode("ascii")} for e in (a, b)]
    return bool(coco.iou(encoded[:1], encoded[1:], [0])[0, 0] >= SAME)
