"""`ipseg bench --instances`: how many instances are found, and how many of those are there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import ipseg
from ipseg.metrics.coco_ap import AveragePrecision, coco_ap
from ipseg.metrics.instances import Detections, matched
from ipseg.objects import Object
from ipseg.scores.histogram import count_scores
from ipseg.scores.suggestion import suggest_threshold
from ipseg.vision.masks import encode_rle, rle_area
from jobs.demo.coins import COINS, coin_prompt, coins, one_coin
from jobs.demo.copies import MOST_COPIES, Copies, copies, demo_prompts
from jobs.output import write_file

MODES = ("one", "each")
THRESHOLD = 0.5  # of a score, at which recall and precision are given
_SUGGESTED = ("threshold", "recall", "precision")


@dataclass(frozen=True)
class OfConcept:
    """One concept at the threshold that its own scores suggest.

    Attributes:
        instances: that are there.
        found: objects with any score.
        threshold: suggested, see `ipseg.scores.suggestion`; None: no image is convincing.
        why: this one.
        recall: at the threshold.
        precision: at it.
    """

    instances: int
    found: int
    threshold: float | None
    why: str
    recall: float
    precision: float


@dataclass(frozen=True)
class Quality:
    """Of one setting on one collection.

    Attributes:
        instances: that are there.
        found: objects with any score.
        ap: average precision of COCO over IoU 0.5 to 0.95.
        ap50: at IoU 0.5.
        recall: at the confidence 0.5; a mask counts from IoU 0.5 on, each instance once.
        precision: of the same masks.
        suggested_recall: at the thresholds that the scores suggest, each concept its own.
        suggested_precision: at them.
        best_threshold: confidence with the highest F1; it takes the ground truth to find.
        best_recall: at it.
        best_precision: at it.
        seconds: for an image.
        concepts: the same by concept, at the suggested thresholds.
    """

    instances: int
    found: int
    ap: float
    ap50: float
    recall: float
    precision: float
    suggested_recall: float
    suggested_precision: float
    best_threshold: float
    best_recall: float
    best_precision: float
    seconds: float
    concepts: dict[str, OfConcept]


def measure(model: ipseg.Model, collection: Sequence[Copies]) -> Quality:
    """Looks for every concept of the model in every image, and compares instance by instance."""
    started = time.perf_counter()
    results = list(model.segment([each.image for each in collection]))
    seconds = (time.perf_counter() - started) / len(collection)
    detections: dict[str, Detections] = {}
    pairs = []
    for number, (each, result) in enumerate(zip(collection, results, strict=True), start=1):
        for concept in result.concepts:
            objects = [found for found in result.objects if found.concept == concept]
            truth = [encode_rle(mask) for mask in each.instances.get(concept, ())]
            hits = matched([o.score for o in objects], [o.segmentation for o in objects], truth)
            own = detections.setdefault(concept, Detections())
            own.add([found.confidence for found in objects], hits, len(truth))
            pairs.append((number, each.image.shape[:2], concept, objects, truth))
    precision = average_precision(pairs)
    together, convincing, concepts = Detections(), Detections(), {}
    for concept, own in detections.items():
        concepts[concept] = _of_concept(own)
        together.add(own.scores, own.hits, own.instances)
        convincing.add(*_at_least(own, concepts[concept].threshold), own.instances)
    return Quality(
        together.instances,
        len(together.scores),
        precision.ap,
        precision.ap50,
        *together.at(THRESHOLD),
        *convincing.at(0.0),
        *together.best(),
        seconds,
        concepts,
    )


def _of_concept(found: Detections) -> OfConcept:
    threshold, why = suggest_threshold(count_scores(found.scores))
    recall, precision = found.at(np.inf if threshold is None else threshold)
    of = (found.instances, len(found.scores))
    return OfConcept(*of, threshold, why, recall, precision)


def _at_least(found: Detections, threshold: float | None) -> tuple[list[float], list[bool]]:
    """Scores and hits from a threshold on; nothing for None."""
    pairs = zip(found.scores, found.hits, strict=True)
    kept = [pair for pair in pairs if threshold is not None and pair[0] >= threshold]
    return [score for score, _ in kept], [hit for _, hit in kept]


def average_precision(
    pairs: Iterable[tuple[int, tuple[int, int], str, Sequence[Object], Sequence[Any]]],
) -> AveragePrecision:
    """Of masks: (image, its size, concept, objects, ground truth)."""
    images, annotations, results = {}, [], []
    categories: dict[str, int] = {}
    for image, (height, width), concept, objects, truth in pairs:
        images[image] = {"id": image, "height": height, "width": width}
        of = {"image_id": image, "category_id": categories.setdefault(concept, len(categories) + 1)}
        annotations += [
            {**of, "id": 0, "iscrowd": 0, "segmentation": m, "area": float(rle_area(m))}
            for m in truth
        ]
        results += [{**of, "segmentation": o.segmentation, "score": o.score} for o in objects]
    for number, each in enumerate(annotations, start=1):
        each["id"] = number
    truth_set = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for name, n in categories.items()],
    }
    return coco_ap(truth_set, results, "mask AP")


def run_instances(
    profile: str,
    settings: Sequence[str],
    *,
    images: int,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Measures both settings on generated images, and the second one on the photo of coins.

    Args:
        profile: name or file.
        settings: "section.key=value" each; `instances.mode` is set here.
        images: generated, with 1 to 6 copies of an object each.
        seed: of the images.
        as_json: print JSON instead of tables.
        out: file for the JSON; None for no file.

    Raises:
        ConfigError: the method has no `instances`, or a setting is wrong.
        OutputError: `out` cannot be written.
    """
    collection = list(copies(images, seed=seed))
    found: dict[str, Any] = {}
    for mode in MODES:
        model = ipseg.load(profile, [*settings, f"instances.mode={mode}"])
        model.set_prompts(demo_prompts())
        found[mode] = asdict(measure(model, collection))
    right, false = find_coins(model)
    data = {
        **{"profile": profile, "images": images, "seed": seed},
        "touching": sum(each.touching for each in collection),
        **{"copies": found, "coins": {"of": COINS, "found": right, "false": false}},
    }
    text = json.dumps(data, indent=1)
    if out is not None:
        write_file(out, f"{text}\n".encode())
    if as_json:
        print(text)  # noqa: T201
        return
    _print(data)


def _print(data: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table("", *(f"instances.mode={mode}" for mode in MODES))
    for field in fields(Quality):
        if field.name == "concepts":
            continue
        values = (data["copies"][mode][field.name] for mode in MODES)
        texts = [str(v) if isinstance(v, int) else f"{v:.3f}" for v in values]
        table.add_row(field.name.replace("_", " "), *texts)
    console.print(
        f"profile '{data['profile']}': {data['images']} generated images with 1 to {MOST_COPIES} "
        f"copies of an object, {data['touching']} of them touching another",
        soft_wrap=True,
    )
    console.print(table)
    by_concept = Table("", "threshold", "recall", "precision", "why", title="each, as suggested")
    for name, own in data["copies"]["each"]["concepts"].items():
        numbers = ("-" if own[n] is None else f"{own[n]:.3f}" for n in _SUGGESTED)
        by_concept.add_row(name, *numbers, own["why"])
    console.print(by_concept)
    coins = data["coins"]
    console.print(f"photo of {coins['of']} coins: {coins['found']} found, {coins['false']} false")


def find_coins(model: ipseg.Model) -> tuple[int, int]:
    """Coins found from one of them, and objects that are none, whatever their score."""
    image, masks = coins()
    model.set_prompts({"coin": coin_prompt(image, one_coin(masks))})
    objects = model.segment(image).objects
    truth = [encode_rle(mask) for mask in masks]
    hits = matched([o.score for o in objects], [o.segmentation for o in objects], truth)
    return int(hits.sum()), int((~hits).sum())
