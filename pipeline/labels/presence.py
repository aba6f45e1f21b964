"""Whether concepts are where their suggested thresholds say, in a run that has ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ipseg.objects import confidence_of
from pipeline.results import measure_quality
from pipeline.runfolder.parts import read_placed

_HEAVY = tuple(f"objects.list.element.{name}" for name in ("segmentation", "points", "bbox"))


def quality_at(out: str, suggested: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """`measure_quality`, and how well presence is said at the suggested thresholds.

    Args:
        out: run folder.
        suggested: concept -> `Suggestion` as plain data.

    Returns:
        As `measure_quality`, with "precision" (of the images with an object at the threshold, those
        that have the concept) and "recall" (of the images that have it, those with an object at
        the threshold) of each concept and over all pairs; None where nothing is to be divided by.
    """
    quality = measure_quality(out)
    if quality is None:
        return None
    counts = _counts(out, suggested)
    for name, measured in quality["concepts"].items():
        measured.update(_shares(counts.get(name, Counter())))
    total = sum(counts.values(), Counter[str]())
    return {**quality, **_shares(total)}


def _counts(out: str, suggested: Mapping[str, Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Concept -> images by what is said ("said"), what is there ("there"), and both ("right")."""
    counts: dict[str, Counter[str]] = {}
    for _, row in read_placed(out, ["objects", "metrics"], without=_HEAVY):
        best: dict[str, float] = {}
        for each in row["objects"]:
            name = each["concept"]
            best[name] = max(best.get(name, 0.0), confidence_of(each))
        there: dict[str, bool] = {}
        for metric in row["metrics"]:
            if metric["status"] == "ok":
                name = metric["concept"]
                there[name] = there.get(name, False) or metric["ground_truth"] > 0
        for name, present in there.items():
            least = suggested.get(name, {}).get("threshold")
            said = least is not None and name in best and best[name] >= least
            found = counts.setdefault(name, Counter())
            found.update(said=said, there=present, right=said and present)
    return counts


def _shares(counts: Mapping[str, int]) -> dict[str, float | None]:
    right = counts["right"]
    return {
        "precision": right / counts["said"] if counts["said"] else None,
        "recall": right / counts["there"] if counts["there"] else None,
    }
