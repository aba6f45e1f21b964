"""Labels to calibrate on: what masks in a folder, or people, say about the objects of a run.

Two things are labelled. An object is good if its mask has an IoU of at least 0.5 with the truth
(or a person accepted it); a concept is present in an image or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from ipseg.benchmarks.ground_truth import ground_truth_at, read_label_map
from ipseg.errors import OutputError, SourceError
from ipseg.objects import Object, best_confidence
from ipseg.rows import Mask
from ipseg.steps.find_ground_truth import FindGroundTruth
from ipseg.vision.instances import GOOD, found, iou, separate
from ipseg.vision.masks import decode_rle
from pipeline.labels.review import Review, Verdict
from pipeline.mask_use import concepts_in, ground_truth_in, mask_files
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import Place, read_batches, read_placed

_LIGHT = ("uri", "row_status")
_HEAVY = tuple(
    f"objects.list.element.{name}" for name in ("segmentation", "points", "bbox", "evidence")
)


@dataclass
class Labels:
    """Labels of a run's objects and images.

    Attributes:
        source: folder of masks, or "review".
        objects: (key of the image, concept, confidence, whether it is good) of each object.
        images: (key, concept, highest confidence, whether it is present).
        there: (key, concept) -> how many objects there are to be found.
        left_out: why something is no label -> how often.
    """

    source: str
    objects: list[tuple[str, str, float, bool]] = field(default_factory=list)
    images: list[tuple[str, str, float, bool]] = field(default_factory=list)
    there: dict[tuple[str, str], int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def keys(self) -> set[str]:
        """Images with a label."""
        return {each[0] for each in (*self.objects, *self.images)}


def labels_from_masks(
    out: str, masks: str, concepts: Sequence[str], *, every_image: bool = False
) -> Labels:
    """What a folder of ground truth says, laid out as for `ipseg segment --masks`.

    Masks are of upright images. Where the run separates instances, so are those of a mask
    (`ipseg.vision.instances`).

    Args:
        out: run folder.
        masks: folder or fsspec URL.
        concepts: of the run; those without a folder there have no labels.
        every_image: an image without any mask lacks all concepts. Otherwise it has no label; an
            image that lacks all concepts is labelled by a mask that is black.

    Raises:
        SourceError: the folder is not there, or no image of the run has a mask in it.
        OutputError: the run cannot be read.
    """
    step = ground_truth_in(masks, concepts_in(masks, concepts) or concepts)
    root = masks.rstrip("/")
    files = {f"{root}/{name}" for name in mask_files(step)}
    wanted: dict[str, dict[str, str]] = {}
    places, several = [], False
    unused = set(files)
    for place, row in read_placed(out, [*_LIGHT, "objects"], without=_HEAVY):
        paths = {name: step.find(row, name, files.__contains__) for name in step.concepts}
        known = {name: path for name, path in paths.items() if path is not None}
        unused -= {*known.values()}
        if row["row_status"] in BROKEN:
            continue
        several = several or any(each["instance"] for each in row["objects"])
        if known or (every_image and step.by_concept):
            wanted[place.key] = known
            places.append(place)
    if not wanted:
        raise SourceError(f"no image of {out} has a mask in {masks}")
    labels = Labels(masks)
    if unused:
        labels.left_out[f"masks of no image of the run: {min(unused)}, ..."] = len(unused)
    for place, row in _rows_at(places):
        _add(labels, place.key, row, step, wanted[place.key], several=several)
    return labels


def _rows_at(places: Sequence[Place]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The rows at some places, with their masks; parts without any are not read."""
    for part, group in groupby(places, key=lambda place: place.part):
        mine = {place.index: place for place in group}
        start = 0
        for batch in read_batches(part, ["key", "width", "height", "objects"]):
            here = [index for index in mine if start <= index < start + len(batch)]
            chosen = batch.take(np.array(here, np.int64) - start).to_pylist()
            yield from ((mine[index], row) for index, row in zip(here, chosen, strict=True))
            start += len(batch)


def _objects(row: Mapping[str, Any]) -> list[Object]:
    return [Object.from_record(each) for each in row["objects"]]


def _add(
    labels: Labels,
    key: str,
    row: Mapping[str, Any],
    step: FindGroundTruth,
    paths: Mapping[str, str],
    *,
    several: bool,
) -> None:
    by_concept: dict[str, list[Object]] = {name: [] for name in step.concepts}
    for each in _objects(row):
        if each.frame == 0 and each.concept in by_concept:
            by_concept[each.concept].append(each)
    for concept, objects in by_concept.items():
        if concept not in paths and not step.by_concept:
            continue
        try:
            truths = _truths(paths.get(concept), row, several=several)
        except (SourceError, OSError):
            labels.left_out["masks that cannot be used, or are of another size"] += 1
            continue
        ranked = sorted(objects, key=lambda each: -each.confidence)
        good = found([each.mask for each in ranked], truths)
        labels.objects += [
            (key, concept, each.confidence, hit) for each, hit in zip(ranked, good, strict=True)
        ]
        labels.images.append((key, concept, best_confidence(objects), bool(truths)))
        labels.there[key, concept] = len(truths)


def _truths(path: str | None, row: Mapping[str, Any], *, several: bool) -> list[Mask]:
    if path is None:
        return []
    mask = ground_truth_at(f"{path}#object", (row["width"], row["height"])).mask
    if not mask.any():
        return []
    if not several:
        return [mask]
    try:
        numbers = read_label_map(path)
    except SourceError:  # colours number nothing
        return separate(mask)
    return separate(mask, numbers)


def labels_from_review(out: str, concepts: Sequence[str]) -> Labels:
    """What people decided, where that is a fair sample.

    Objects that were looked at because they were uncertain are none: a calibration on them is wrong
    for all others. So an object has a label where it was drawn at random (`Decision.sampled`), or
    where all of its image is decided; images have labels in the latter case alone. What a rule
    accepted, nobody has looked at.

    Args:
        out: run folder.
        concepts: of the run.

    Raises:
        OutputError: nobody has decided anything, or the run cannot be read.
    """
    review = Review.read(out)
    if not review.keys:
        raise OutputError(f"nobody has decided anything about {out} yet")
    labels = Labels("review")
    light = read_placed(out, _LIGHT)
    places = [
        place
        for place, row in light
        if place.key in review.keys and row["row_status"] not in BROKEN
    ]
    for place, row in _rows_at(places):
        _add_decided(labels, place.key, _objects(row), review, concepts)
    return labels


def _add_decided(
    labels: Labels, key: str, objects: Sequence[Object], review: Review, concepts: Sequence[str]
) -> None:
    judged = [(each, review.verdict(key, each)) for each in objects]
    whole = all(verdict.decided and not verdict.disputed for _, verdict in judged)
    for each, verdict in judged:
        why = _no_label(verdict, whole=whole)
        if why is None:
            labels.objects.append((key, each.concept, each.confidence, _good(each, verdict)))
        else:
            labels.left_out[why] += 1
    if not whole:
        return
    left = Counter(each.concept for each in review.apply(key, objects))
    for concept in concepts:
        best = best_confidence([each for each in objects if each.concept == concept])
        labels.images.append((key, concept, best, bool(left[concept])))
        labels.there[key, concept] = left[concept]


def _no_label(verdict: Verdict, *, whole: bool) -> str | None:
    """Why what holds for an object is no label; None if it is one."""
    if verdict.rule:
        return "objects that a rule accepted"
    if not verdict.decided:
        return "objects that nobody has decided"
    if verdict.disputed:
        return "objects that people disagree about"
    drawn = verdict.sampled is not None and verdict.sampled.get("how") == "random"
    return None if whole or drawn else "objects that were chosen, not drawn at random"


def _good(each: Object, verdict: Verdict) -> bool:
    if verdict.status == "rejected" or verdict.concept not in (None, each.concept):
        return False
    repaired = verdict.segmentation
    return repaired is None or iou(each.mask, decode_rle(repaired)) >= GOOD
