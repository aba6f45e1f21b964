"""Suggested thresholds of a run: its scores are read and counted, no mask is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.objects import PRESENCE
from ipseg.scores.histogram import Counts, count_scores, no_scores
from ipseg.scores.suggestion import Suggestion, suggestion
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import part_files, read_batches

_READS_AT_ONCE = 4  # each holds a batch of rows
_COLUMNS = ("key_hash", "gone", "row_status", "objects")
_HEAVY = tuple(f"objects.list.element.{name}" for name in ("segmentation", "points", "bbox"))


@dataclass
class Scores:
    """Scores of one concept in a run.

    Attributes:
        objects: (BINS,) histogram of the confidence of its objects (`Object.confidence`).
        best: (BINS,) histogram of the highest confidence in each image that has one.
    """

    objects: Counts = field(default_factory=no_scores)
    best: Counts = field(default_factory=no_scores)


def suggest(out: str, concepts: Sequence[str]) -> dict[str, Suggestion]:
    """A threshold for each concept from the shape of its scores.

    Args:
        out: run folder; the parts that are there count.
        concepts: of the run.

    Raises:
        OutputError: there are no parts yet, or one cannot be read.
    """
    counts, images = read_scores(out, concepts)
    return {name: suggestion(each.objects, each.best, images) for name, each in counts.items()}


def suggested(out: str, concepts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same as plain data, for metrics.json."""
    return {name: each.record() for name, each in suggest(out, concepts).items()}


def read_scores(out: str, concepts: Sequence[str]) -> tuple[dict[str, Scores], int]:
    """Histograms of each concept, and the number of images that have not failed.

    Arguments and errors as for `suggest`.
    """
    found = {name: Scores() for name in concepts}
    images = 0
    shards = groupby(part_files(out), key=lambda part: part.rpartition("/")[0])
    listed = [list(parts) for _, parts in shards]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        for number, of_shard in pool.map(_of_shard, listed):
            images += number
            for concept, scores in of_shard.items():
                known = found.setdefault(concept, Scores())
                known.objects += scores.objects
                known.best += scores.best
    return found, images


def _of_shard(parts: Sequence[str]) -> tuple[int, dict[str, Scores]]:
    """A key has one shard, in which it counts once, even if two parts have it."""
    images, found = 0, dict[str, Scores]()
    seen: list[pa.Array] = []
    for part in parts:
        hashes = []
        for batch in read_batches(part, _COLUMNS, without=_HEAVY):
            hashes.append(batch["key_hash"])
            keep = pc.invert(pc.or_(batch["gone"], pc.is_in(batch["row_status"], _BROKEN)))
            if seen:
                known = pc.is_in(batch["key_hash"], pa.concat_arrays(seen))
                keep = pc.and_(keep, pc.invert(known))
            kept = batch.filter(keep)
            images += kept.num_rows
            _count(kept["objects"], found)
        seen += hashes
    return images, found


_BROKEN = pa.array(BROKEN)


def _count(lists: pa.Array, found: dict[str, Scores]) -> None:
    rows = pc.list_parent_indices(lists).to_numpy()
    objects = pc.list_flatten(lists)
    confidence = confidences(objects)
    concepts = pc.struct_field(objects, "concept").dictionary_encode()
    codes = concepts.indices.to_numpy()
    for code, name in enumerate(concepts.dictionary.to_pylist()):
        mine = codes == code
        values = confidence[mine]
        starts = np.flatnonzero(np.diff(rows[mine], prepend=-1))
        scores = found.setdefault(name, Scores())
        scores.objects += count_scores(values)
        scores.best += count_scores(np.maximum.reduceat(values, starts))


def confidences(objects: pa.StructArray) -> npt.NDArray[np.float64]:
    """`Object.confidence` of each of (n,) stored objects, of which score and evidence were read."""
    confidence: npt.NDArray[np.float64] = (
        pc.struct_field(objects, "score").to_numpy(zero_copy_only=False).astype(np.float64)
    )
    evidence = pc.struct_field(objects, "evidence")
    each, of = pc.list_flatten(evidence), pc.list_parent_indices(evidence)
    value = pc.struct_field(each, "value")
    said = pc.and_(pc.equal(pc.struct_field(each, "name"), PRESENCE), pc.is_valid(value))
    place = pc.filter(of, said).to_numpy()
    presence = pc.filter(value, said).to_numpy(zero_copy_only=False)
    confidence[place] = np.minimum(confidence[place], presence)
    return confidence
