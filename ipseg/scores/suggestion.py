"""A threshold for one concept from the shape of its own scores: a suggestion, without any label.

The number that thresholds are compared with is `Object.confidence`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ipseg.objects import CONVINCING
from ipseg.scores.histogram import Counts, number_from
from ipseg.scores.modes import LEAST, median_and_end, valley

Why = Literal[
    "two modes",  # the valley between them
    "all of them",  # one mode, above CONVINCING; only what lies far below it is left out
    "no second mode",  # CONVINCING itself, for want of anything better
    "no image is convincing",
]


@dataclass(frozen=True)
class Suggestion:
    """What the scores of a concept suggest.

    Attributes:
        threshold: least confidence, a multiple of 0.001; None where no image is convincing.
        why: this one.
        images: that were looked at.
        found: of them, images in which any object was found.
        convincing: of them, images with an object at or above the threshold.
        objects: at or above the threshold.
        candidates: all objects.
    """

    threshold: float | None
    why: Why
    images: int
    found: int
    convincing: int
    objects: int
    candidates: int

    def record(self) -> dict[str, Any]:
        """As plain data, for metrics.json."""
        return asdict(self)


def suggestion(objects: Counts, best: Counts, images: int) -> Suggestion:
    """The threshold that scores of a concept suggest.

    Two modes count if the upper one is convincing (`ipseg.objects.CONVINCING`): scores of images
    without the concept have shapes too.

    Args:
        objects: (BINS,) histogram of the confidence of all its objects.
        best: (BINS,) histogram of the highest confidence in each image that has an object.
        images: all that were looked at.
    """
    threshold, why = suggest_threshold(objects)
    found, candidates = int(best.sum()), int(objects.sum())
    if threshold is None:
        return Suggestion(None, why, images, found, 0, 0, candidates)
    there = number_from(best, threshold), number_from(objects, threshold)
    return Suggestion(threshold, why, images, found, *there, candidates)


def suggest_threshold(objects: Counts) -> tuple[float | None, Why]:
    """The threshold that a histogram suggests, see `suggestion`; and why."""
    if not number_from(objects, CONVINCING):
        return None, "no image is convincing"
    modes = valley(objects)
    if modes is not None and modes.high >= CONVINCING:
        return modes.at, "two modes"
    if objects.sum() < LEAST:
        return CONVINCING, "no second mode"
    middle, end = median_and_end(objects)
    if middle >= CONVINCING:
        return min(end, CONVINCING), "all of them"
    return CONVINCING, "no second mode"
