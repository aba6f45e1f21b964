"""`ipseg bench --instances`: how many instances are found, and how many of those are there."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.filters import sobel
from skimage.segmentation import watershed

import ipseg
from ipseg.inputs import Prompt
from ipseg.metrics.instances import Detections, matched
from ipseg.objects import Object
from ipseg.rows import Image, Mask
from ipseg.vision.masks import encode_rle, rle_area
from jobs.demo.copies import Copies, copies, demo_prompts
from jobs.output import write_file

MODES = ("one", "each")
THRESHOLD = 0.5  # of a score, at which recall and precision are given
COINS = 24
_SMALLEST_COIN = 300  # pixels
_MARGIN = 8  # pixels around the coin of the prompt


@dataclass(frozen=True)
class Quality:
    """Of one setting on one collection.

    Attributes:
        instances: that are there.
        found: objects with any score.
        ap: average precision of COCO over IoU 0.5 to 0.95.
        ap50: at IoU 0.5.
        recall: at the score 0.5; a mask counts from IoU 0.5 on, each instance once.
        precision: of the same masks.
        best_threshold: score with the highest F1.
        best_recall: at it.
        best_precision: at it.
        seconds: for an image.
    """

    instances: int
    found: int
    ap: float
    ap50: float
    recall: float
    precision: float
    best_threshold: float
    best_recall: float
    best_precision: float
    seconds: float


def measure(model: ipseg.Model, collection: Sequence[Copies]) -> Quality:
    """Looks for every concept of the model in every image, and compares instance by instance."""
    started = time.perf_counter()
    results = list(model.segment([each.image for each in collection]))
    seconds = (time.perf_counter() - started) / len(collection)
    detections = Detections()
    pairs = []
    for number, (each, result) in enumerate(zip(collection, results, strict=True), start=1):
        for concept in result.concepts:
            objects = [found for found in result.objects if found.concept == concept]
            truth = [encode_rle(mask) for mask in each.instances.get(concept, ())]
            scores = [found.score for found in objects]
            hits = matched(scores, [found.segmentation for found in objects], truth)
            detections.add(scores, hits, len(truth))
            pairs.append((number, each.image.shape[:2], concept, objects, truth))
    ap, ap50 = coco_ap(pairs)
    best = detections.best()
    at_half = detections.at(THRESHOLD)
    return Quality(
        detections.instances, len(detections.scores), ap, ap50, *at_half, *best, seconds
    )


def coco_ap(
    pairs: Iterable[tuple[int, tuple[int, int], str, Sequence[Object], Sequence[Any]]],
) -> tuple[float, float]:
    """AP and AP50 of masks by pycocotools: (image, its size, concept, objects, ground truth)."""
    images, annotations, results = {}, [], []
    categories: dict[str, int] = {}
    for image, (height, width), concept, objects, truth in pairs:
        images[image] = {"id": image, "height": height, "width": width}
        of = {"image_id": image, "category_id": categories.setdefault(concept, len(categories) + 1)}
        annotations += [
            {**of, "id": 0, "iscrowd": 0, "segmentation": m, "area": float(rle_area(m))} for m in truth
        ]
        results += [{**of, "segmentation": o.segmentation, "score": o.score} for o in objects]
    for number, each in enumerate(annotations, start=1):
        each["id"] = number
    truth_set = COCO()
    truth_set.dataset = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for name, n in categories.items()],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set.createIndex()
        if not results:
            return 0.0, 0.0
        evaluation = COCOeval(truth_set, truth_set.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def coins() -> tuple[Image, list[Mask]]:
    """The photo of 24 coins in scikit-image, (H, W, 3) uint8, and the mask of each of them.

    The masks are found by a watershed of its edges from what is surely dark and surely bright,
    which works for this photo and few others.
    """
    grey = skimage.data.coins()
    markers = np.where(grey < 30, 1, np.where(grey > 150, 2, 0))
    regions = watershed(sobel(grey), markers) == 2
    labels, count = ndimage.label(ndimage.binary_fill_holes(regions))
    masks = [labels == number for number in range(1, count + 1)]
    masks = [mask for mask in masks if mask.sum() >= _SMALLEST_COIN]
    if len(masks) != COINS:
        raise AssertionError(f"the photo of coins gave {len(masks)} masks")
    return np.dstack([grey] * 3), masks


def coin_prompt(image: Image, mask: Mask) -> Prompt:
    """One coin with some of what is around it."""
    rows, columns = np.nonzero(mask)
    part = (
        slice(max(0, int(rows.min()) - _MARGIN), int(rows.max()) + 1 + _MARGIN),
        slice(max(0, int(columns.min()) - _MARGIN), int(columns.max()) + 1 + _MARGIN),
    )
    return Prompt(np.ascontiguousarray(image[part]), mask=np.ascontiguousarray(mask[part]))
