"""What TF32 and 16-bit arithmetic do to the masks of a profile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ipseg.api import Model
from ipseg.config import Config
from ipseg.segmentation import Segmentation
from jobs.bench.photos import photos, prompts


def compare_precisions(config: Config, others: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Segments two photos in float32 and in each of `others`.

    Yields:
        For each `precision` the `seconds` for one image and, over all images and concepts, the
        `mean_iou` of its masks with those of float32 and the `least_iou` of any one mask (None
        where neither found anything), and the share of prompts whose points are the same,
        `same_points`. An image that could not be segmented counts among `failed`, its masks as IoU
        0.

    Raises:
        WeightsError: weights are missing or damaged.
    """
    exact, taken = _segment(config, "float32")
    yield {"precision": "float32", "seconds": taken, **_agreement(exact, exact)}
    for precision in others:
        masks, taken = _segment(config, precision)
        yield {"precision": precision, "seconds": taken, **_agreement(exact, masks)}


def arithmetic(precision: str) -> dict[str, Any]:
    """The fields of `Models` for float32, tf32, bfloat16 or float16."""
    if precision == "tf32":
        return {"precision": "float32", "tf32": True}
    return {"precision": precision, "tf32": False}


def _segment(config: Config, precision: str) -> tuple[list[Segmentation], float]:
    models = replace(config.models, **arithmetic(precision))
    model = Model(replace(config, models=models))
    model.set_prompts(prompts(masks=config.support.kind in ("mask", "box", "point")))
    images = photos()
    start = time.perf_counter()
    found = list(model.segment(images, on_error="return"))
    return found, (time.perf_counter() - start) / len(images)


def _agreement(exact: list[Segmentation], other: list[Segmentation]) -> dict[str, Any]:
    overlaps, same = [], []
    failed = 0
    for one, two in zip(exact, other, strict=True):
        if one.error or two.error:
            failed += 1
            overlaps.append(0.0)
            same.append(False)
            continue
        masks, points = (one.masks, two.masks), (one.points, two.points)
        nothing = np.zeros(one.image.shape[:2], bool)
        for concept in one.concepts:
            a, b = (each.get(concept, nothing) for each in masks)
            if a.any() or b.any():
                overlaps.append(float((a & b).sum() / (a | b).sum()))
            p, q = (each.get(concept) for each in points)
            same.append(p is q if p is None or q is None else np.array_equal(p, q))
    return {
        "mean_iou": statistics.mean(overlaps) if overlaps else None,
        "least_iou": min(overlaps, default=None),
        "same_points": statistics.mean(same),
        "failed": failed,
    }
