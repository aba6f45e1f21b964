"""Episodes through the pipeline: each query once, whatever the number of episodes and settings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ipseg.bank import PromptBank
from ipseg.errors import ConfigError, SourceError
from ipseg.methods import create_method
from ipseg.rows import Row
from ipseg.steps.judge import JudgeEpisodes
from ipseg.storage.files import exists
from ipseg.storage.walk import list_files
from ipseg.sweep import Finish, Look, Sweep
from pipeline.evaluation.evaluation import Evaluation
from pipeline.evaluation.passes import Pass
from pipeline.evaluation.results import reopen
from pipeline.evaluation.supports import bank_of, describe_supports, entry_of, failed_entries
from pipeline.process import (
    Outcome,
    Work,
    clear,
    earlier_shard_count,
    engine_for,
    process,
    write_shards,
)
from pipeline.runfolder.identity import config_sha256, weights_identity
from pipeline.runfolder.lease import Lease
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.open_run import open_run
from pipeline.runfolder.sink import Provenance, ShardWriter, check_writable
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source

if TYPE_CHECKING:
    from pipeline.engines.local_engine import LocalEngine
    from pipeline.engines.ray_engine import RayEngine

log = logging.getLogger("ipseg")

QUERY_COLUMNS = ("key", "shard", "uri", "crop", "episodes")
JUDGED_COLUMNS = ("key", "shard", "uri", "width", "height", "results")


def evaluate(work: Evaluation) -> list[Outcome]:
    """Runs all episodes with all settings, or goes on with what is there; one outcome a pass.

    Raises:
        IpsegError: something the caller can mend.
    """
    identities = [_identity(work, each) for _, each in work.passes]
    _check_place(work, identities)
    if work.overwrite:
        _clear_others(work)
    outcomes = []
    with ExitStack() as engines:
        for number, ((out, each), identity) in enumerate(
            zip(work.passes, identities, strict=True), start=1
        ):
            if len(work.passes) > 1:
                labels = ", ".join(variant.label for variant in each.variants)
                log.info("pass %d of %d: %s", number, len(work.passes), labels)
            # One for each pass, because a record is of one folder; Ray stays until all are closed.
            engine = engine_for(work.engine, each.config.runtime, work.budget)
            engines.enter_context(engine)
            outcomes.append(_run_pass(work, out, each, identity, engine))
    return outcomes


def _identity(work: Evaluation, each: Pass) -> dict[str, Any]:
    """What a run folder is bound to; settings by their names, under their variant in a sweep."""
    settings = {
        variant.label: {**variant.config.relevant, "given_mask": variant.given_mask}
        for variant in each.variants
    }
    first = work.episodes[0]
    return {
        "benchmark": work.benchmark,
        "episodes": {
            "folds": list(dict.fromkeys(episode.fold for episode in work.episodes)),
            "shot": first.shot,
            "seed": first.seed,
            "count": len(work.episodes),
            "sha256": work.episodes_sha256,
        },
        "protocol": asdict(work.protocol),
        "weights": weights_identity(each.config),
        **(settings[""] if list(settings) == [""] else {"variants": settings}),
    }


def _check_place(work: Evaluation, identities: Sequence[dict[str, Any]]) -> None:
    """Looks at the run folder before anything is started.

    Raises:
        ConfigError: an evaluation with other settings is there.
        OutputError: it cannot be written to.
    """
    check_writable(work.out)
    if work.overwrite:
        return
    alone = len(work.passes) == 1
    other = f"{work.out}/pass-0" if alone else work.out
    if Manifest.read(other) is not None:
        one, several = "one pass over the pictures", "several passes"
        old, new = (several, one) if alone else (one, several)
        raise ConfigError(
            f"{work.out} holds an evaluation in {old}, and these settings need {new}; choose "
            f"another --out, or start over with --overwrite"
        )
    for (out, _), identity in zip(work.passes, identities, strict=True):
        if (earlier := Manifest.read(out)) is not None:
            earlier.check_same(identity)


def _clear_others(work: Evaluation) -> None:
    """Removes what an earlier evaluation has written in folders that this one has no use for."""
    used = [out for out, _ in work.passes]
    several = [file.split("/")[-2] for file in list_files(work.out, "pass-*/manifest.json")]
    for out in [work.out, *(f"{work.out}/{name}" for name in several)]:
        if out not in used and exists(f"{out}/manifest.json"):
            with Lease(out, uuid4().hex):
                clear(out)


def _run_pass(
    work: Evaluation,
    out: str,
    each: Pass,
    identity: dict[str, Any],
    engine: LocalEngine | RayEngine,
) -> Outcome:
    with open_run(out, identity, overwrite=work.overwrite) as run:
        config = each.config
        sha256 = config_sha256(config, identity["weights"])
        run.begin(config, sha256, work.engine, concepts=[], images=work.benchmark)
        sweep = _sweep(work, out, each, engine)
        source = _queries(work, out, each)
        write_shards(out, source.shards)
        if work.retries_all:
            reopen(work, out, each)
        method = create_method(config)
        steps = [*method.sweep_steps(sweep, each.extractors), JudgeEpisodes(work.protocol)]
        by = Provenance(run.run_id, f"{config.method}/{config.profile}", sha256, ())
        writer = ShardWriter(out, by, ("results",))
        outcome = process(
            engine,
            Work(source, steps, QUERY_COLUMNS, JUDGED_COLUMNS, writer, work.retry),
            work.budget,
        )
        run.finish(outcome.counts)
    return outcome


def _sweep(work: Evaluation, out: str, each: Pass, engine: LocalEngine | RayEngine) -> Sweep:
    made: dict[str, PromptBank] = {}
    looks: list[Look] = []
    finishes = []
    for variant in each.variants:
        config, where = variant.config, bank_of(out, variant)
        if where not in made:
            entries = describe_supports(
                out, variant, each.extractors, work.episodes, engine, retry=work.retries_all
            )
            made[where] = entries.bank
        weights = {kind: e.weight for kind, e in config.features.items() if e.weight != 0}
        look = Look(made[where], weights, config.matching)
        known = next((i for i, other in enumerate(looks) if _same(look, other)), None)
        if known is None:
            known = len(looks)
            looks.append(look)
        finishes.append(
            Finish(variant.label, known, config.points, config.refinement, config.scoring)
        )
    return Sweep(tuple(looks), tuple(finishes))


def _same(one: Look, other: Look) -> bool:
    return (
        one.bank is other.bank and one.weights == other.weights and one.matching == other.matching
    )


def _queries(work: Evaluation, out: str, each: Pass) -> Source:
    """One row for each picture that is asked about, unless no variant can use the supports."""
    lost = [failed_entries(out, variant) for variant in each.variants]
    rows: dict[str, Row] = {}
    for episode in work.episodes:
        entry = entry_of(episode)
        if all(entry in failed for failed in lost):
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
                "truth": query.ground_truth,
            }
        )
    if not rows:
        raise SourceError(
            f"no episode of {work.benchmark} can be run, the first because "
            f"{next(iter(lost[0].values()))}; mend the supports and add --retry failed"
        )
    with Spool(("key", "uri", "crop", "episodes")) as spool:
        spool.add(rows.values())
        shards = spool.write(out, earlier_shard_count(out))
    return Source(work.benchmark, "episodes", shards, len(rows), {})
