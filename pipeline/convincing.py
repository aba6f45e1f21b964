"""In how many images of a run a concept is convincing, by scores alone; nothing else is read."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.objects import CONVINCING, PRESENCE
from pipeline.runfolder.parts import part_files, read_batches

_READS_AT_ONCE = 16
_HEAVY = tuple(f"objects.list.element.{name}" for name in ("segmentation", "points", "bbox"))


def count_convincing(out: str, concepts: Sequence[str]) -> dict[str, int]:
    """Images with a convincing object (`Object.convincing`) of each concept.

    Args:
        out: run folder; the parts that are there count.
        concepts: of the run.

    Raises:
        OutputError: there are no parts yet, or one cannot be read.
    """
    counts = dict.fromkeys(concepts, 0)
    shards = groupby(part_files(out), key=lambda part: part.rpartition("/")[0])
    listed = [list(parts) for _, parts in shards]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        for found in pool.map(_of_shard, listed):
            for concept, number in found.items():
                counts[concept] = counts.get(concept, 0) + number
    return counts


def _of_shard(parts: Sequence[str]) -> dict[str, int]:
    """A key has one shard, in which it counts once, even if two parts have it."""
    tables = [
        _convincing(batch)
        for part in parts
        for batch in read_batches(part, ["key_hash", "gone", "objects"], without=_HEAVY)
    ]
    if not tables:
        return {}
    images = pa.concat_tables(tables).group_by("concept").aggregate([("key", "count_distinct")])
    return dict(zip(*(images[name].to_pylist() for name in images.column_names), strict=True))


def _convincing(batch: pa.RecordBatch) -> pa.Table:
    """Concept and key hash of each convincing object; images that are gone have none."""
    batch = batch.filter(pc.invert(batch["gone"]))
    rows, objects = pc.list_parent_indices(batch["objects"]), pc.list_flatten(batch["objects"])
    score, evidence = (pc.struct_field(objects, name) for name in ("score", "evidence"))
    good = pc.greater_equal(score, CONVINCING).to_numpy(zero_copy_only=False).copy()
    each = pc.list_flatten(evidence)
    name, value = (pc.struct_field(each, which) for which in ("name", "value"))
    weak = pc.and_(pc.equal(name, PRESENCE), pc.less(value, CONVINCING))
    good[pc.filter(pc.list_parent_indices(evidence), weak).to_numpy()] = False
    chosen = pa.array(np.flatnonzero(good))
    return pa.table(
        {
            "concept": pc.struct_field(objects, "concept").take(chosen),
            "key": batch["key_hash"].take(pc.take(rows, chosen)),
        }
    )
