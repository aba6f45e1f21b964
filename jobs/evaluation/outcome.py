"""What an evaluation leaves in its folder, read back and checked against itself."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipseg.benchmarks.episode import EPISODES
from ipseg.benchmarks.results import RESULTS
from ipseg.errors import OutputError
from ipseg.storage.files import read_bytes

EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Outcome:
    """A run folder of `ipseg evaluate`.

    Attributes:
        out: its address.
        evaluation: what was asked and how: evaluation.json.
        episodes: the list, schema `ipseg.benchmarks.episode.EPISODES`.
        results: schema `ipseg.benchmarks.results.RESULTS`; at most one row for each episode of the
            list and each variant.
    """

    out: str
    evaluation: dict[str, Any]
    episodes: pa.Table
    results: pa.Table

    @property
    def classes(self) -> dict[str, dict[int, str]]:
        """Fold -> class id -> name; also classes of which no episode was drawn."""
        return {
            fold: {int(class_id): name for class_id, name in each["classes"].items()}
            for fold, each in self.evaluation["folds"].items()
        }

    def of_variant(self, label: str) -> pa.Table:
        """The results of one setting."""
        return self.results.filter(pc.equal(self.results["variant"], label))


def read_outcome(out: str) -> Outcome:
    """Reads the folder of an evaluation.

    Args:
        out: path or fsspec URL.

    Raises:
        OutputError: a file is missing, or the files are not of one evaluation.
    """
    out = out.rstrip("/")
    evaluation: dict[str, Any] = json.loads(_read(out, EVALUATION))
    episodes = _table(out, "episodes.parquet", EPISODES)
    results = _table(out, "results.parquet", RESULTS)
    _check_results(out, evaluation, episodes, results)
    return Outcome(out, evaluation, episodes, results)


def _read(out: str, name: str) -> bytes:
    try:
        return read_bytes(f"{out}/{name}")
    except FileNotFoundError as error:
        raise OutputError(f"{out} has no {name}: `ipseg evaluate` writes it") from error


def _table(out: str, name: str, schema: pa.Schema) -> pa.Table:
    data = _read(out, name)
    try:
        return pq.read_table(io.BytesIO(data)).select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError) as error:
        raise OutputError(f"{out}/{name} is not as `ipseg evaluate` writes it: {error}") from error


def _check_results(
    out: str, evaluation: dict[str, Any], episodes: pa.Table, results: pa.Table
) -> None:
    asked = set(zip(*(episodes[name].to_pylist() for name in ("fold", "episode")), strict=True))
    keys = [results[name].to_pylist() for name in ("fold", "episode", "variant")]
    labels = {variant["label"] for variant in evaluation["variants"]}
    seen = set()
    for fold, episode, variant in zip(*keys, strict=True):
        what = f"episode {episode} of fold '{fold}'"
        if variant not in labels:
            raise OutputError(f"{out} has a result of setting '{variant}', which it did not run")
        if (fold, episode) not in asked:
            raise OutputError(f"{out} has a result of {what}, which is not in its list of episodes")
        if (fold, episode, variant) in seen:
            raise OutputError(f"{out} has two results of {what} with setting '{variant}'")
        seen.add((fold, episode, variant))
