"""What the rows of an evaluation say about its episodes; which of them are to be done again."""

from __future__ import annotations

import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.benchmarks.episode import Episode
from ipseg.benchmarks.results import RESULTS
from ipseg.storage.files import exists, read_bytes, remove
from ipseg.storage.walk import list_files
from pipeline.evaluation.evaluation import Evaluation
from pipeline.evaluation.passes import Pass
from pipeline.evaluation.supports import entry_of, failed_entries
from pipeline.runfolder.ledger import BROKEN
from pipeline.runfolder.parts import read_rows, write_part

log = logging.getLogger("ipseg")

EpisodeKey = tuple[str, int, str]  # fold, episode, variant
_ROW = ("key", "row_status", "error_message", "results")


def results_table(work: Evaluation) -> pa.Table:
    """Results of all passes, schema `RESULTS`; an episode that was not reached has no row."""
    blocks = [
        pa.Table.from_pylist(list(_results(work, out, each)), RESULTS) for out, each in work.passes
    ]
    return pa.concat_tables(blocks).sort_by(
        [(name, "ascending") for name in ("variant", "fold", "episode")]
    )


def predictions(
    work: Evaluation, wanted: Iterable[EpisodeKey]
) -> Mapping[EpisodeKey, dict[str, Any]]:
    """Mask and points of some episodes, as they were written."""
    asked = set(wanted)
    found = {}
    for out, _ in work.passes:
        for row in read_rows(out, ["results"]):
            for result in row["results"]:
                if _key(result) in asked:
                    found[_key(result)] = {n: result[n] for n in ("segmentation", "points")}
    return found


def reopen(work: Evaluation, out: str, each: Pass) -> None:
    """Takes rows out of their parts that lack a result, so that they are done again.

    A row is finished even if the ground truth of one of its episodes could not be read, or if an
    episode was left out because of its supports: the ledger, which knows whole rows, takes it for
    done. A part that is rewritten is there before the old one goes.

    Args:
        work: the evaluation.
        out: run folder of a pass.
        each: the pass.
    """
    planned = _planned(work, out, each)
    taken = 0
    for part in list_files(out, "shard=*/part-*.parquet"):
        folder = part.rpartition("/")[0]
        try:
            table = pq.read_table(io.BytesIO(read_bytes(part)))
        except pa.ArrowInvalid:
            continue  # the ledger says so, and puts it aside
        keep = [
            row["row_status"] in BROKEN or planned[row["key"]] <= _measured(row["results"])
            for row in table.select(_ROW).to_pylist()
        ]
        if all(keep):
            continue
        taken += keep.count(False)
        if exists(success := f"{folder}/_SUCCESS.json"):
            remove(success)
        if any(keep):
            write_part(out, folder.rpartition("shard=")[2], table.filter(pa.array(keep)))
        remove(part)
    if taken:
        log.info("%d queries are done again because some of their episodes failed", taken)


def _planned(work: Evaluation, out: str, each: Pass) -> dict[str, set[EpisodeKey]]:
    """Query -> the results it should have."""
    lost = {variant.label: failed_entries(out, variant) for variant in each.variants}
    planned: dict[str, set[EpisodeKey]] = defaultdict(set)
    for episode in work.episodes:
        entry = entry_of(episode)
        planned[episode.query.key] |= {
            (episode.fold, episode.episode, label)
            for label, failed in lost.items()
            if entry not in failed
        }
    return planned


def _measured(results: Iterable[Mapping[str, Any]]) -> set[EpisodeKey]:
    return {_key(result) for result in results if result["status"] == "ok"}


def _key(result: Mapping[str, Any]) -> EpisodeKey:
    return result["fold"], result["episode"], result["variant"]


def _results(work: Evaluation, out: str, each: Pass) -> Iterator[dict[str, Any]]:
    lost = {variant.label: failed_entries(out, variant) for variant in each.variants}
    by_query: dict[str, list[Episode]] = defaultdict(list)
    for episode in work.episodes:
        by_query[episode.query.key].append(episode)
        entry = entry_of(episode)
        for label, failed in lost.items():
            if entry in failed:
                yield _failure(episode, label, failed[entry])
    for row in read_rows(out, _ROW):
        if row["row_status"] in BROKEN:
            for episode in by_query[row["key"]]:
                for label, failed in lost.items():
                    if entry_of(episode) not in failed:
                        yield _failure(episode, label, row["error_message"])
        for result in row["results"]:
            wanted = {name: result.get(name) for name in RESULTS.names}
            yield {**wanted, "query": row["key"]}


def _failure(episode: Episode, label: str, why: str) -> dict[str, Any]:
    return {
        **{"episode": episode.episode, "fold": episode.fold, "variant": label},
        **{"class_id": episode.class_id, "class_name": episode.class_name},
        **{"query": episode.query.key, "status": "failed", "error_message": why},
    }
