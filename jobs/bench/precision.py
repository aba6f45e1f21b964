"""What 16-bit arithmetic does to the masks of a profile."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

import numpy as np

from ipseg.api import Model, Segmentation
from ipseg.config import Config
from jobs.bench.photos import photos, prompts


@dataclass(frozen=True)
class Effect:
    """One precision beside float32, over all images and concepts.

    Attributes:
        precision: of the networks' arithmetic.
        seconds: for one image.
        mean_iou: of its masks with those of float32; None where neither found anything.
        least_iou: of any one mask.
        same_points: share of prompts whose points are the same.
    """

    precision: str
    seconds: float
    mean_iou: float | None
    least_iou: float | None
    same_points: float


def compare_precisions(config: Config, others: tuple[str, ...]) -> list[Effect]:
    """Segments two photos in float32 and in each of `others`.

    Raises:
        WeightsError: weights are missing or damaged.
    """
    exact, seconds = _segment(config, "float32")
    found = [Effect("float32", seconds, *_agreement(exact, exact))]
    for precision in others:
        masks, seconds = _segment(config, precision)
        found.append(Effect(precision, seconds, *_agreement(exact, masks)))
    return found


def _segment(config: Config, precision: str) -> tuple[list[Segmentation], float]:
    models = replace(config.models, precision=precision)  # type: ignore[arg-type]
    model = Model(replace(config, models=models))
    model.set_prompts(prompts(masks=config.support.kind in ("mask", "box", "point")))
    images = photos()
    start = time.perf_counter()
    found = list(model.segment(images))
    return found, (time.perf_counter() - start) / len(images)


def _agreement(
    exact: list[Segmentation], other: list[Segmentation]
) -> tuple[float | None, float | None, float]:
    overlaps, same = [], []
    for one, two in zip(exact, other, strict=True):
        masks, points = (one.masks, two.masks), (one.points, two.points)
        nothing = np.zeros(one.image.shape[:2], bool)
        for concept in one.concepts:
            a, b = (each.get(concept, nothing) for each in masks)
            if a.any() or b.any():
                overlaps.append(float((a & b).sum() / (a | b).sum()))
            p, q = (each.get(concept) for each in points)
            same.append(p is q if p is None or q is None else np.array_equal(p, q))
    if not overlaps:
        return None, None, statistics.mean(same)
    return statistics.mean(overlaps), min(overlaps), statistics.mean(same)
