"""What the rows of a run say about its ground truth: results by episode, and quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.benchmarks.episode import Episode
from ipseg.benchmarks.results import RESULTS
from ipseg.metrics import average_precision, measure
from ipseg.objects import Object
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import read_rows

EpisodeKey = tuple[str, int, str]  # fold, episode, variant
_ROW = ("key", "row_status", "error_message", "metrics")
_AT_ONCE = 65_536  # results in one block of a table


def results_table(
    out: str, asked: Mapping[str, Sequence[Episode]], variants: Sequence[str]
) -> pa.Table:
    """Results of an evaluation, schema `RESULTS`; an episode that was not reached has no row.

    Args:
        out: run folder.
        asked: key of a row -> the episodes that it answers.
        variants: labels.
    """
    return _table(_results(out, asked, variants)).sort_by(
        [(name, "ascending") for name in ("variant", "fold", "episode")]
    )


def _table(results: Iterable[Mapping[str, Any]]) -> pa.Table:
    stream = iter(results)
    blocks = [RESULTS.empty_table()]
    while block := list(islice(stream, _AT_ONCE)):
        blocks.append(pa.Table.from_pylist(block, RESULTS))
    return pa.concat_tables(blocks)


def _results(
    out: str, asked: Mapping[str, Sequence[Episode]], variants: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for row in read_rows(out, _ROW):
        episodes = asked[row["key"]]
        if row["row_status"] in BROKEN:
            for episode in episodes:
                for label in variants:
                    yield _failure(episode, label, row["error_message"])
        queries = {(each.fold, each.episode): each.query.key for each in episodes}
        for metric in row["metrics"]:
            query = queries[metric["fold"], metric["episode"]]
            yield {**{name: metric.get(name) for name in RESULTS.names}, "query": query}


def _failure(episode: Episode, label: str, why: str) -> dict[str, Any]:
    return {
        **{"episode": episode.episode, "fold": episode.fold, "variant": label},
        **{"class_id": episode.class_id, "class_name": episode.class_name},
        **{"query": episode.query.key, "status": "failed", "error_message": why},
    }


def predictions(out: str, wanted: Iterable[EpisodeKey]) -> dict[EpisodeKey, list[Object]]:
    """The objects behind some results, as they were written."""
    asked = set(wanted)
    found: dict[EpisodeKey, list[Object]] = {}
    for row in read_rows(out, ["metrics", "objects"]):
        for metric in row["metrics"]:
            key = (metric["fold"], metric["episode"], metric["variant"])
            if key in asked:
                place = [metric[name] for name in ("variant", "concept", "frame")]
                found[key] = [
                    Object.from_record(each)
                    for each in row["objects"]
                    if [each[name] for name in ("variant", "concept", "frame")] == place
                ]
    return found


def measure_quality(out: str) -> dict[str, Any] | None:
    """Mean IoU over (image, concept present), and how well scores say what is present.

    Returns:
        {"mean_iou", "pairs", "average_precision", "failed", "concepts": {name: {"mean_iou",
        "present", "images", "average_precision", "failed"}}} with formula B (mean over images of
        the IoU in one image); None if no row has ground truth. A mean IoU is None where no image
        has the concept, an average precision where it is in every image or in none. `failed` counts
        comparisons that could not be made, which are in none of the other numbers.
    """
    failed = Counter[str]()

    def compared() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(read_rows(out, ["metrics"])):
            for metric in row["metrics"]:
                if metric["status"] == "ok":
                    yield {**metric, "episode": number, "query": ""}
                else:
                    failed[metric["class_name"]] += 1

    results = _table(compared())
    names = sorted({*results["class_name"].to_pylist(), *failed})
    if not names:
        return None
    return {
        "formula": "B",
        **_quality(results),
        "failed": failed.total(),
        "concepts": {
            name: {key: value for key, value in _quality(of).items() if key != "pairs"}
            | {"present": _present(of).num_rows, "images": of.num_rows, "failed": failed[name]}
            for name, of in ((n, results.filter(pc.equal(results["class_name"], n))) for n in names)
        },
    }


def _present(results: pa.Table) -> pa.Table:
    return results.filter(pc.greater(results["ground_truth"], 0))


def _quality(results: pa.Table) -> dict[str, Any]:
    present = _present(results)
    return {
        "mean_iou": measure("B", present, set(present["class_id"].to_pylist())),
        "pairs": present.num_rows,
        "average_precision": average_precision(
            results["score"].to_numpy(), pc.greater(results["ground_truth"], 0).to_numpy()
        ),
    }
