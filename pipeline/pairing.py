"""Results as a release computes them that pairs predictions with ground truth in their order.

Source: `eval_miou.py` of PerSense: both are sorted and zipped, class by class, so that behind a
missing prediction every one is compared with the ground truth of the image before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.episode import Episode
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.results import RESULTS
from ipseg.metrics import Region
from ipseg.objects import Object, without_weak
from ipseg.rows import Mask
from pipeline.results import predictions


def paired_in_order(out: str, episodes: Sequence[Episode], results: pa.Table) -> pa.Table:
    """The results of classes of which a prediction is missing, compared by order.

    Args:
        out: run folder.
        episodes: of the list.
        results: schema `RESULTS`, each prediction compared with its own ground truth.

    Returns:
        The same schema and order; the last episodes of such a class are left without ground truth
        of their own and failed.
    """
    known = {(each.fold, each.episode): each for each in episodes}
    rows: list[dict[str, Any]] = []
    of_class = ("variant", "fold", "class_id")
    ordered = results.sort_by([(name, "ascending") for name in (*of_class, "episode")]).to_pylist()
    for _, group in groupby(ordered, key=lambda row: [row[name] for name in of_class]):
        listed = list(group)
        missing = any(row["status"] != "ok" for row in listed)
        rows += _shifted(out, listed, known) if missing else listed
    return pa.Table.from_pylist(rows, RESULTS).sort_by(
        [(name, "ascending") for name in ("variant", "fold", "episode")]
    )


def _shifted(
    out: str, listed: Sequence[dict[str, Any]], known: Mapping[tuple[str, int], Episode]
) -> list[dict[str, Any]]:
    """The rows of one class and variant, sorted by episode."""
    there = [row for row in listed if row["status"] == "ok"]
    keys = [(row["fold"], row["episode"], row["variant"]) for row in there]
    found = predictions(out, keys)
    shifted = []
    for place, row in enumerate(listed):
        if place >= len(there):
            why = "no prediction is left for it: those before are paired off by their order"
            shifted.append({**_nothing(row), "error_message": why})
            continue
        truth = read_ground_truth(known[row["fold"], row["episode"]].query.ground_truth).mask
        shifted.append({**_nothing(row), **_compared(found.get(keys[place], []), truth)})
    return shifted


def _nothing(row: Mapping[str, Any]) -> dict[str, Any]:
    about = ("episode", "fold", "class_id", "class_name", "variant", "query")
    return {**dict.fromkeys(RESULTS.names), **{n: row[n] for n in about}, "status": "failed"}


def _compared(objects: Iterable[Object], truth: Mask) -> dict[str, Any]:
    mask = np.zeros_like(truth)
    for each in without_weak(objects):
        if each.mask.shape != truth.shape:
            return {"error_message": f"a mask of {each.mask.shape} and one of {truth.shape}"}
        mask |= each.mask
    return {"status": "ok", "error_message": None, **asdict(Region.of(mask, truth))}
