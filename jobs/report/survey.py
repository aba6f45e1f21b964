"""One pass over the rows of a run: counts, histograms, and the few rows worth showing.

Reads scores and metrics only, never masks or pictures, and keeps a fixed number of rows, so that
a run of a million rows takes no more memory than one of sixty.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ipseg.objects import notable
from ipseg.storage.files import filesystem
from pipeline.runfolder.parts import part_files

BINS = 20
# Without ground truth, objects are shown that reach this share of the best score in the image and
# this score; where none does, the best one is.
_SHOWN = 8  # rows of one gallery
_BATCH_ROWS = 4096
_HEAVY = ("objects.list.element.segmentation", "objects.list.element.points")
_WANTED = ("key", "row_status", "error_stage", "error_type", "error_message", "objects", "metrics")


@dataclass(frozen=True)
class Place:
    """Where a row stands.

    Attributes:
        key: of the row.
        part: path of the Parquet part inside the run's filesystem.
        index: of the row in that part.
    """

    key: str
    part: str
    index: int


@dataclass(frozen=True)
class Failure:
    """A row that failed, and why."""

    key: str
    stage: str
    kind: str
    message: str


class Top:
    """The items with the largest values seen, whatever the order they came in."""

    def __init__(self, size: int = _SHOWN) -> None:
        self._size = size
        self._heap: list[tuple[float, str, int, Any]] = []
        self._added = 0

    def add(self, value: float, key: str, item: Any) -> None:  # noqa: ANN401
        """Keeps the item if it is among the largest; equal values are ordered by key."""
        self._added += 1
        entry = (value, key, self._added, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def items(self) -> list[Any]:
        """From the largest value to the smallest."""
        return [entry[3] for entry in sorted(self._heap, reverse=True, key=lambda e: e[:3])]


def _bins() -> npt.NDArray[np.int64]:
    return np.zeros(BINS, np.int64)


@dataclass
class Survey:
    """What the pass found.

    Attributes:
        counts: rows by status.
        has_truth: some row was compared with ground truth.
        present_scores: concept -> histogram of its best score in images that show it; without
            ground truth, in all images.
        absent_scores: concept -> the same for images that do not show it.
        ious: histogram of IoU over (image, concept present).
        causes: failed rows by (stage, type of error).
        failures: some of them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    has_truth: bool = False
    present_scores: dict[str, npt.NDArray[np.int64]] = field(
        default_factory=lambda: defaultdict(_bins)
    )
    absent_scores: dict[str, npt.NDArray[np.int64]] = field(
        default_factory=lambda: defaultdict(_bins)
    )
    ious: npt.NDArray[np.int64] = field(default_factory=_bins)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failures: Top = field(default_factory=lambda: Top(12))
    _best: dict[str, Top] = field(default_factory=lambda: defaultdict(Top))
    _worst: Top = field(default_factory=Top)
    _several: Top = field(default_factory=Top)
    _quiet: Top = field(default_factory=Top)
    _loud: Top = field(default_factory=lambda: Top(_SHOWN // 2))
    _nothing: Top = field(default_factory=lambda: Top(_SHOWN // 2))

    @property
    def failures(self) -> list[Failure]:
        """Failed rows, at most a dozen."""
        return self._failures.items()

    def best(self) -> list[Place]:
        """Rows with the highest IoU (without ground truth: score), concepts taking turns."""
        queues = [self._best[concept].items() for concept in sorted(self._best)]
        turns = [place for rank in _by_rank(queues) for place in rank]
        return list(dict.fromkeys(turns))[:_SHOWN]

    def worst(self) -> list[Place]:
        """Rows with the lowest IoU of any concept they show (without ground truth: best score)."""
        return self._worst.items()

    def several(self) -> list[Place]:
        """Some rows with two or more concepts, drawn by the hash of their keys."""
        return self._several.items()

    def none_present(self) -> list[Place]:
        """Rows that show no concept: the highest scores among them, then the lowest."""
        loud = self._loud.items()
        quiet = [place for place in self._quiet.items() if place not in loud]
        return [*loud, *reversed(quiet[: _SHOWN - len(loud)])]

    def nothing_found(self) -> list[Place]:
        """Some rows in which no object was found, drawn by the hash of their keys."""
        return self._nothing.items()

    def add(self, row: dict[str, Any], place: Place) -> None:
        """Takes in one row."""
        status = row["row_status"]
        self.counts[status] += 1
        if status == "failed":
            cause = (row["error_stage"] or "?", row["error_type"] or "?")
            self.causes[cause] += 1
            failure = Failure(place.key, *cause, row["error_message"] or "")
            self._failures.add(_chance(place.key), place.key, failure)
            return
        scores = best_scores(row)
        if row["metrics"]:
            self.has_truth = True
            self._add_measured(row["metrics"], scores, place)
        else:
            self._add_unmeasured(scores, place)
        if not scores:
            self._nothing.add(_chance(place.key), place.key, place)

    def _add_measured(
        self, metrics: list[dict[str, Any]], scores: dict[str, float], place: Place
    ) -> None:
        ious = {metric["concept"]: metric["iou"] for metric in metrics if metric["present"]}
        for metric in metrics:
            concept = metric["concept"]
            histogram = self.present_scores if metric["present"] else self.absent_scores
            histogram[concept][_bin(scores.get(concept, 0.0))] += 1
        for concept, iou in ious.items():
            self.ious[_bin(iou)] += 1
            self._best[concept].add(iou, place.key, place)
        if ious:
            self._worst.add(-min(ious.values()), place.key, place)
        else:
            score = max(scores.values(), default=0.0)
            self._loud.add(score, place.key, place)
            self._quiet.add(-score, place.key, place)
        if len(ious) > 1:
            self._several.add(_chance(place.key), place.key, place)

    def _add_unmeasured(self, scores: dict[str, float], place: Place) -> None:
        for concept, score in scores.items():
            self.present_scores[concept][_bin(score)] += 1
            self._best[concept].add(score, place.key, place)
        if scores:
            self._worst.add(-max(scores.values()), place.key, place)
        if len(notable(scores)) > 1:
            self._several.add(_chance(place.key), place.key, place)


def _by_rank(queues: list[list[Place]]) -> Iterator[list[Place]]:
    """Yields the first of each list, then the second of each, as long as there are any."""
    for rank in range(max(map(len, queues), default=0)):
        yield [queue[rank] for queue in queues if rank < len(queue)]


def best_scores(row: Mapping[str, Any]) -> dict[str, float]:
    """Concept -> the highest score of its objects in a row."""
    scores: dict[str, float] = {}
    for item in row["objects"] or ():
        scores[item["concept"]] = max(item["score"], scores.get(item["concept"], 0.0))
    return scores


def survey(out: str) -> Survey:
    """Reads a run folder (any fsspec URL) once.

    Raises:
        OutputError: there is no run at this place.
    """
    result = Survey()
    fs, _ = filesystem(out)
    seen: set[str] = set()
    shard = None
    for part in part_files(out):
        if (folder := part.rpartition("/")[0]) != shard:
            shard, seen = folder, set()  # a key belongs to one shard, so this stays small
        with fs.open(part, "rb") as file:
            for index, row in enumerate(_light_rows(pq.ParquetFile(file))):
                if row["key"] not in seen:
                    seen.add(row["key"])
                    result.add(row, Place(row["key"], part, index))
    return result


def read_place(out: str, place: Place) -> dict[str, Any]:
    """All columns of one row."""
    fs, _ = filesystem(out)
    with fs.open(place.part, "rb") as file:
        parquet = pq.ParquetFile(file)
        first = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if place.index < first + rows:
                table = parquet.read_row_group(group).slice(place.index - first, 1)
                row: dict[str, Any] = table.to_pylist()[0]
                return row
            first += rows
    raise IndexError(f"{place.part} has no row {place.index}")


def _light_rows(parquet: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    paths = [parquet.schema.column(index).path for index in range(len(parquet.schema))]
    light = [
        path for path in paths if path.split(".")[0] in _WANTED and not path.startswith(_HEAVY)
    ]
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=light):
        yield from batch.to_pylist()


def _bin(value: float) -> int:
    return min(BINS - 1, int(value * BINS)) if value > 0 else 0  # also for NaN


def _chance(key: str) -> float:
    """A number in [0, 1) that looks drawn by lot but belongs to the key."""
    digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
