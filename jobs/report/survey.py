"""One pass over the rows of a run: counts, histograms, and the few rows that a page has room for.

Reads scores and metrics only, never images, and masks only where people decided; and keeps a fixed
number of rows, so that a run of a million rows takes no more memory than one of sixty.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from ipseg.objects import Object, confidence_of, notable
from jobs.failures import Groups
from jobs.pages.charts import Counts, bin_of, no_counts
from jobs.pages.galleries import chance, in_turn
from pipeline.labels.review import Review
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import Place, read_placed

_ROOM = 8  # rows of one gallery
_UNUSED = tuple(f"objects.list.element.{name}" for name in ("points", "bbox"))
_MASKS = "objects.list.element.segmentation"
_WANTED = ("row_status", "error_stage", "error_type", "error_message", "objects", "metrics")


class Top:
    """The items with the largest values seen, whatever the order they came in."""

    def __init__(self, size: int = _ROOM) -> None:
        self._size = size
        self._kept: list[tuple[float, str, Any]] = []

    def add(self, value: float, key: str, item: Any) -> None:  # noqa: ANN401
        """Keeps the item if it is among the largest; equal values are ordered by key."""
        self._kept.append((value, key, item))
        self._kept.sort(key=itemgetter(0, 1), reverse=True)
        del self._kept[self._size :]

    def items(self) -> list[Any]:
        """From the largest value to the smallest."""
        return [item for _, _, item in self._kept]


@dataclass
class Ranking:
    """Rows in order of one measure: IoU, or the score where there is no ground truth."""

    _best: dict[str, Top] = field(default_factory=lambda: defaultdict(Top))
    _worst: Top = field(default_factory=Top)
    _several: Top = field(default_factory=Top)

    def add(
        self, values: Mapping[str, float], least: float | None, several: bool, place: Place
    ) -> None:
        """Takes in a row.

        Args:
            values: concept -> the measure.
            least: by which the row is among the worst; None leaves it out of them.
            several: it has two or more concepts.
            place: of the row.
        """
        for concept, value in values.items():
            self._best[concept].add(value, place.key, place)
        if least is not None:
            self._worst.add(-least, place.key, place)
        if several:
            self._several.add(chance(place.key), place.key, place)

    def best(self) -> list[Place]:
        """The rows with the highest values, concepts taking turns."""
        placed = [
            (name, place) for name in sorted(self._best) for place in self._best[name].items()
        ]
        return list(dict.fromkeys(place for _, place in in_turn(placed, itemgetter(0))))[:_ROOM]

    def worst(self) -> list[Place]:
        """The rows with the lowest values."""
        return self._worst.items()

    def several(self) -> list[Place]:
        """Some rows with two or more concepts, drawn by the hash of their keys."""
        return self._several.items()


@dataclass
class Survey:
    """What the pass found.

    Attributes:
        counts: rows by status.
        measured: rows that were compared with ground truth, by IoU of the concepts they have.
        unmeasured: the other rows, by score.
        scores: concept -> histogram of its highest confidence (`Object.confidence`) in rows without
            ground truth.
        present_scores: concept -> the same in rows that have it.
        absent_scores: concept -> the same for rows that do not have it.
        ious: histogram of IoU over (row, concept present).
        failures: rows that failed or are poisoned.
        not_compared: comparisons that failed, in rows that did not.
        decided: objects that people decided about, by status; those a rule accepted are not.
    """

    counts: Counter[str] = field(default_factory=Counter)
    measured: Ranking = field(default_factory=Ranking)
    unmeasured: Ranking = field(default_factory=Ranking)
    scores: dict[str, Counts] = field(default_factory=lambda: defaultdict(no_counts))
    present_scores: dict[str, Counts] = field(default_factory=lambda: defaultdict(no_counts))
    absent_scores: dict[str, Counts] = field(default_factory=lambda: defaultdict(no_counts))
    ious: Counts = field(default_factory=no_counts)
    failures: Groups = field(default_factory=Groups)
    not_compared: Groups = field(default_factory=Groups)
    decided: Counter[str] = field(default_factory=Counter)
    _quiet: Top = field(default_factory=Top)
    _loud: Top = field(default_factory=lambda: Top(_ROOM // 2))
    _nothing: Top = field(default_factory=lambda: Top(_ROOM // 2))

    def none_present(self) -> list[Place]:
        """Rows that have no concept: the highest scores among them, then the lowest."""
        loud = self._loud.items()
        quiet = [place for place in self._quiet.items() if place not in loud]
        return [*loud, *reversed(quiet[: _ROOM - len(loud)])]

    def nothing_found(self) -> list[Place]:
        """Some rows in which no object was found, drawn by the hash of their keys."""
        return self._nothing.items()

    def add(self, row: Mapping[str, Any], place: Place) -> None:
        """Takes in one row."""
        status = row["row_status"]
        self.counts[status] += 1
        if status in BROKEN:
            stage, kind = row["error_stage"] or "", row["error_type"] or ""
            self.failures.add(place.key, row["error_message"] or "", stage, kind)
            return
        scores: dict[str, float] = {}
        for each in row["objects"]:
            scores[each["concept"]] = max(confidence_of(each), scores.get(each["concept"], 0.0))
        if not scores:
            self._nothing.add(chance(place.key), place.key, place)
        if row["metrics"]:
            self._add_measured(row["metrics"], scores, place)
        else:
            self._add_unmeasured(scores, place)

    def _add_measured(
        self, metrics: Iterable[Mapping[str, Any]], scores: Mapping[str, float], place: Place
    ) -> None:
        failed = [metric for metric in metrics if metric["status"] == "failed"]
        for metric in failed:
            self.not_compared.add(place.key, metric["error_message"] or "")
        ious = ious_of(metrics)
        for concept, iou in ious.items():
            histograms = self.absent_scores if iou is None else self.present_scores
            histograms[concept][bin_of(scores.get(concept, 0.0))] += 1
        present = {concept: iou for concept, iou in ious.items() if iou is not None}
        for iou in present.values():
            self.ious[bin_of(iou)] += 1
        self.measured.add(present, min(present.values(), default=None), len(present) > 1, place)
        if not present and not failed:
            score = max(scores.values(), default=0.0)
            self._loud.add(score, place.key, place)
            self._quiet.add(-score, place.key, place)

    def _add_unmeasured(self, scores: Mapping[str, float], place: Place) -> None:
        for concept, score in scores.items():
            self.scores[concept][bin_of(score)] += 1
        several = len(notable(scores)) > 1
        self.unmeasured.add(scores, max(scores.values(), default=None), several, place)


def ious_of(metrics: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Concept -> IoU, in a sequence the mean over the frames that have it; None if it is absent.

    Comparisons that failed say nothing, and are left out.
    """
    found: dict[str, list[float]] = {}
    for metric in metrics:
        if metric["status"] == "ok":
            ious = found.setdefault(metric["concept"], [])
            if metric["ground_truth"]:
                ious.append(metric["intersection"] / metric["union"])
    return {name: sum(ious) / len(ious) if ious else None for name, ious in found.items()}


def survey(out: str, review: Review) -> Survey:
    """Reads a run folder (any fsspec URL) once.

    Args:
        out: run folder.
        review: of the run: in rows without ground truth, what people rejected is not there, and
            what they relabelled is the other concept.

    Raises:
        OutputError: there is no run at this place.
    """
    result = Survey()
    without = _UNUSED if review.keys else (*_UNUSED, _MASKS)  # decisions are about masks
    for place, row in read_placed(out, _WANTED, without=without):
        if place.key in review.keys and row["row_status"] not in BROKEN:
            objects = [Object.from_record(each) for each in row["objects"]]
            verdicts = (review.verdict(place.key, each) for each in objects)
            result.decided.update(each.status for each in verdicts if each.decided)
            if not row["metrics"]:  # with ground truth, scores are judged by that
                left = review.apply(place.key, objects)
                row["objects"] = [each.record() for each in left]
        result.add(row, place)
    return result
