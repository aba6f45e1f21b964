"""Episodes through the pipeline: each query once, whatever the number of episodes and settings."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa

from ipseg.benchmarks.benchmark import Protocol
from ipseg.benchmarks.episode import Episode, to_table
from ipseg.benchmarks.results import RESULTS
from ipseg.errors import SourceError
from ipseg.methods import create_method
from ipseg.rows import Row
from ipseg.steps.judge import JudgeEpisodes
from ipseg.storage import read_bytes
from ipseg.sweep import Finish, Look, Sweep
from ipseg.walk import list_files
from pipeline.identity import config_sha256, weights_identity
from pipeline.lease import Lease
from pipeline.ledger import Retry
from pipeline.listing import Spool
from pipeline.manifest import Manifest
from pipeline.parts import read_rows
from pipeline.passes import Pass, Variant, passes
from pipeline.process import (
    EngineName,
    Outcome,
    Work,
    clear,
    earlier_shard_count,
    engine_for,
    process,
    write_shards,
)
from pipeline.record import FailureBudget
from pipeline.sink import Provenance, ShardWriter, check_writable
from pipeline.source import Source
from pipeline.supports import Entries, describe_supports, entry_of

if TYPE_CHECKING:
    from pipeline.local_engine import LocalEngine
    from pipeline.ray_engine import RayEngine

log = logging.getLogger("ipseg")

QUERY_COLUMNS = ("key", "shard", "uri", "crop", "episodes")
JUDGED_COLUMNS = ("key", "shard", "uri", "width", "height", "results")
EpisodeKey = tuple[str, int, str]  # fold, episode, variant


@dataclass(frozen=True)
class Evaluation:
    """Episodes to run, and how.

    Attributes:
        benchmark: its name.
        episodes: of all folds.
        protocol: how masks are compared.
        variants: settings to run them with, at least one, labels unique.
        out: run folder, path or fsspec URL.
        engine: 'ray', or 'local' for this process alone.
        overwrite: start over, instead of going on with what is there.
        retry: finished queries to do again, None for none.
        budget: failed queries after which the run is stopped.
    """

    benchmark: str
    episodes: Sequence[Episode] = field(repr=False)
    protocol: Protocol
    variants: Sequence[Variant]
    out: str
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    budget: FailureBudget = field(default_factory=lambda: FailureBudget(1.0))

    @property
    def episodes_sha256(self) -> str:
        """64 hex digits over the list of episodes."""
        sink = io.BytesIO()
        table = to_table(self.episodes)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return hashlib.sha256(sink.getvalue()).hexdigest()

    @property
    def passes(self) -> list[tuple[str, Pass]]:
        """(run folder, pass) for each pass: OUT itself where one is enough."""
        found = passes(self.variants)
        if len(found) == 1:
            return [(self.out, found[0])]
        return [(f"{self.out}/pass-{number}", each) for number, each in enumerate(found)]


def evaluate(work: Evaluation) -> list[Outcome]:
    """Runs all episodes with all settings, or goes on with what is there; one outcome a pass.

    Raises:
        IpsegError: something the caller can mend.
    """
    outcomes = []
    with engine_for(work.engine, work.variants[0].config.runtime, work.budget) as engine:
        for number, (out, each) in enumerate(work.passes, start=1):
            if len(work.passes) > 1:
                labels = ", ".join(variant.label for variant in each.variants)
                log.info("pass %d of %d: %s", number, len(work.passes), labels)
            outcomes.append(_run_pass(work, out, each, engine))
    return outcomes


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
                key = (result["fold"], result["episode"], result["variant"])
                if key in asked:
                    found[key] = {name: result[name] for name in ("segmentation", "points")}
    return found


def _run_pass(work: Evaluation, out: str, each: Pass, engine: LocalEngine | RayEngine) -> Outcome:
    weights = weights_identity(each.config)
    identity = {
        "benchmark": work.benchmark,
        "episodes_sha256": work.episodes_sha256,
        "protocol": asdict(work.protocol),
        "weights": weights,
        "variants": {
            variant.label: {**variant.config.relevant, "given_mask": variant.given_mask}
            for variant in each.variants
        },
    }
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"
    with Lease(check_writable(out), run_id):
        if work.overwrite:
            clear(out)
        earlier = Manifest.read(out)
        if earlier is not None:
            earlier.check_same(identity)
        provenance = Provenance(
            run_id,
            f"{each.config.method}/{each.config.profile}",
            config_sha256(each.config, weights),
            (),
        )
        about = {
            **{"profile": each.config.profile, "method": each.config.method},
            **{"config": each.config.resolved, "config_sha256": provenance.config_sha256},
            **{"concepts": [], "images": work.benchmark},
        }
        manifest = Manifest(out, identity, about, earlier.runs if earlier else [])
        entry = {"run_id": run_id, "engine": work.engine, "started": _now(), "finished": None}
        manifest.runs.append({**entry, "counts": None})
        manifest.write()
        sweep, failed = _sweep(work, out, each, engine)
        source = _queries(work, out, failed)
        write_shards(out, source.shards)
        method = create_method(each.config)
        steps = [*method.sweep_steps(sweep, each.extractors), JudgeEpisodes(work.protocol)]
        writer = ShardWriter(out, provenance, ("results",))
        outcome = process(
            engine,
            Work(source, steps, QUERY_COLUMNS, JUDGED_COLUMNS, writer, work.retry),
            work.budget,
        )
        manifest.runs[-1] |= {"finished": _now(), "counts": outcome.counts}
        manifest.write()
    return outcome


def _sweep(
    work: Evaluation, out: str, each: Pass, engine: LocalEngine | RayEngine
) -> tuple[Sweep, dict[str, str]]:
    """Looks and finishes of a pass, and the entries that could not be made, with the reason."""
    made: dict[str, Entries] = {}
    looks: list[Look] = []
    finishes = []
    for variant in each.variants:
        config = variant.config
        isolated = f"{config.relevant['saliency']} {variant.given_mask}"
        if isolated not in made:
            where = f"{out}/bank-{len(made)}"
            made[isolated] = describe_supports(
                where, variant, each.extractors, work.episodes, engine
            )
        weights = {kind: e.weight for kind, e in config.features.items() if e.weight != 0}
        look = Look(made[isolated].bank, weights, config.matching)
        known = next((i for i, other in enumerate(looks) if _same(look, other)), None)
        if known is None:
            known = len(looks)
            looks.append(look)
        finishes.append(
            Finish(variant.label, known, config.points, config.refinement, config.scoring)
        )
    failed = {entry: why for entries in made.values() for entry, why in entries.failed.items()}
    return Sweep(tuple(looks), tuple(finishes)), failed


def _same(one: Look, other: Look) -> bool:
    return (
        one.bank is other.bank and one.weights == other.weights and one.matching == other.matching
    )


def _queries(work: Evaluation, out: str, failed: Mapping[str, str]) -> Source:
    """One row for each query picture that any usable episode asks about."""
    rows: dict[str, Row] = {}
    for episode in work.episodes:
        entry = entry_of(episode)
        if entry in failed:
            continue
        query = episode.query
        row = rows.setdefault(
            query.key,
            {
                "key": query.key,
                "uri": query.uri,
                "crop": None if query.crop is None else list(query.crop),
                "episodes": [],
            },
        )
        row["episodes"].append(
            {
                **{"episode": episode.episode, "fold": episode.fold, "entry": entry},
                **{"class_id": episode.class_id, "class_name": episode.class_name},
                "truth": query.truth,
            }
        )
    if not rows:
        raise SourceError(
            f"no episode of {work.benchmark} can be run; the first: {next(iter(failed.values()))}"
        )
    with Spool(("key", "uri", "crop", "episodes")) as spool:
        spool.add(rows.values())
        shards = spool.write(out, earlier_shard_count(out))
    return Source(work.benchmark, "episodes", shards, len(rows), {})


def _results(work: Evaluation, out: str, each: Pass) -> Iterator[dict[str, Any]]:
    failed = _failed_supports(out)
    by_query: dict[str, list[Episode]] = {}
    for episode in work.episodes:
        by_query.setdefault(episode.query.key, []).append(episode)
        if why := failed.get(entry_of(episode)):
            yield from _failures(episode, each, why)
    for row in read_rows(out, ["key", "row_status", "error_message", "results"]):
        if row["row_status"] in ("failed", "poisoned"):
            for episode in by_query[row["key"]]:
                if entry_of(episode) not in failed:
                    yield from _failures(episode, each, row["error_message"])
        for result in row["results"]:
            wanted = {name: result.get(name) for name in RESULTS.names}
            yield {**wanted, "query": row["key"]}


def _failed_supports(out: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in list_files(out, "bank-*.failed.json"):
        found |= json.loads(read_bytes(file))
    return found


def _failures(episode: Episode, each: Pass, why: str) -> Iterator[dict[str, Any]]:
    for variant in each.variants:
        yield {
            **{"episode": episode.episode, "fold": episode.fold, "variant": variant.label},
            **{"class_id": episode.class_id, "class_name": episode.class_name},
            **{"query": episode.query.key, "status": "failed", "error_message": why},
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
