"""How well the scores of a run, and probabilities made of them, agree with labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipseg.metrics.ranking import average_precision
from ipseg.scores.calibrator import Values
from ipseg.scores.curves import against_threshold, presence
from ipseg.scores.reliability import reliability
from pipeline.labels.calibration import Sample
from pipeline.labels.truth import Labels


def measure(
    labels: Labels, good: Values | None, present: Values | None, thresholds: Sequence[float] = ()
) -> dict[str, Any]:
    """What calibration.json and the report say of labels, as plain data.

    Args:
        labels: of a run.
        good: (n,) probability of each of `labels.objects`, for functions that have not seen it.
        present: (m,) the same of each of `labels.images`.
        thresholds: further ones at which precision and recall are wanted.

    Returns:
        "mask": {"reliability", "raw" (the same of the score itself), "curve"}; "presence":
        {"reliability", "concepts", "macro", "micro"}.
    """
    objects, images = Sample.of(labels.objects), Sample.of(labels.images)
    there = Counter[str]()
    for (key, _), number in labels.there.items():
        there[key] += number
    at = np.unique([*np.arange(41) / 40, *thresholds])
    curve = against_threshold(objects.confidence, objects.outcomes, objects.keys, there, at)
    return {
        "mask": {
            "reliability": _reliability(good, objects),
            "raw": _reliability(objects.confidence, objects),
            "curve": [each.record() for each in curve],
        },
        "presence": _presence(images, present),
    }


def _reliability(probability: Values | None, sample: Sample) -> dict[str, Any] | None:
    if probability is None or not len(sample.keys):
        return None
    return reliability(probability, sample.outcomes).record()


def _presence(images: Sample, probability: Values | None) -> dict[str, Any]:
    concepts = {}
    for name in sorted(set(images.concepts)):
        mine = images.of_concept(name)
        concepts[name] = presence(mine.confidence, mine.outcomes, mine.keys).record()
    known = [
        each["average_precision"]
        for each in concepts.values()
        if each["average_precision"] is not None
    ]
    return {
        "reliability": _reliability(probability, images),
        "concepts": concepts,
        "macro": float(np.mean(known)) if known else None,
        "micro": average_precision(images.confidence, images.outcomes) if images.keys else None,
        "chance": float(images.outcomes.mean()) if images.keys else None,
    }
