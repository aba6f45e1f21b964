"""`ipseg evaluate`: episodes, run, numbers, table, page."""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from ipseg.benchmarks.benchmark import Benchmark, Sampling
from ipseg.benchmarks.drawing import is_published
from ipseg.benchmarks.episode import Episode, to_table
from ipseg.benchmarks.paper_tables import paper_table
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.metrics import formula_of
from ipseg.storage import write_whole
from jobs.evaluation.page import write_page
from jobs.evaluation.summary import Summary, as_data, summarise
from jobs.evaluation.table import print_summary
from pipeline.evaluate import Evaluation, evaluate, predictions, results_table
from pipeline.ledger import Retry
from pipeline.passes import Variant
from pipeline.process import EngineName, Outcome
from pipeline.record import FailureBudget

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Asked:
    """What somebody wants evaluated.

    Attributes:
        benchmark: opened on its data root.
        out: run folder.
        sampling: of episodes.
        profile: name of a profile, or a YAML file.
        method: replaces the profile's; None keeps it.
        settings: overrides for all variants, "section.key=value".
        sweep: "section.key=v1,v2,..." each; every combination is a variant.
        table: of the paper, whose rows are the variants; None for none.
        folds: to run; empty for all.
        given_mask: supports come with their ground-truth mask; None leaves it to the protocol.
        formula: the number that stands first; None leaves it to the protocol.
        limit: episodes of each fold; None for all.
        engine: 'ray' or 'local'.
        overwrite: start over.
        retry: failed queries to do again.
        max_failure_rate: of queries, after which the run is stopped; None for never.
    """

    benchmark: Benchmark
    out: str
    sampling: Sampling = field(default_factory=Sampling)
    profile: str = "ipseg"
    method: str | None = None
    settings: Sequence[str] = ()
    sweep: Sequence[str] = ()
    table: int | None = None
    folds: Sequence[str] = ()
    given_mask: bool | None = None
    formula: str | None = None
    limit: int | None = None
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    max_failure_rate: float | None = None


def run_evaluation(asked: Asked, *, as_json: bool) -> bool:
    """Runs an evaluation, writes its tables and report, and prints its table.

    Returns:
        Whether every episode was measured.

    Raises:
        IpsegError: something the caller can mend.
    """
    benchmark, sampling = asked.benchmark, asked.sampling
    protocol = benchmark.protocol_of(sampling.rule)
    if asked.given_mask is not None:
        protocol = replace(protocol, given_mask=asked.given_mask)
    formula = formula_of(asked.formula or protocol.formula).id
    formulas = list(dict.fromkeys([formula, *benchmark.formulas]))
    variants = _variants(asked, given_mask=protocol.given_mask)
    benchmark.check()
    folds = _folds(asked)
    by_fold = {fold: _episodes(asked, fold) for fold in folds}
    work = Evaluation(
        benchmark=benchmark.name,
        episodes=[episode for episodes in by_fold.values() for episode in episodes],
        protocol=protocol,
        variants=variants,
        out=asked.out.rstrip("/"),
        engine=asked.engine,
        overwrite=asked.overwrite,
        retry=asked.retry,
        budget=FailureBudget.of(1.0 if asked.max_failure_rate is None else asked.max_failure_rate),
    )
    log.info("%d episodes of %s", len(work.episodes), benchmark.title)
    started = datetime.now(UTC)
    outcomes = evaluate(work)
    config = variants[0].config
    evaluation = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "method": config.method,
        "profile": config.profile,
        "shot": sampling.shot,
        "seed": sampling.seed,
        "rule": sampling.rule,
        "formula": formula,
        "formulas": formulas,
        "protocol": asdict(protocol),
        "folds": {fold: _fold(benchmark, fold, episodes) for fold, episodes in by_fold.items()},
        "all_folds": list(benchmark.folds),
        "variants": [{"label": v.label, "settings": list(v.settings)} for v in variants],
        "table": asked.table,
        "config_sha256": config.sha256,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **_speed(outcomes),
    }
    _write_parquet(f"{work.out}/episodes.parquet", to_table(work.episodes))
    _write_parquet(f"{work.out}/results.parquet", results_table(work))
    write_whole(f"{work.out}/evaluation.json", json.dumps(evaluation, indent=1).encode())
    summary = summarise(work.out)
    page = write_page(summary, lambda _, wanted: predictions(work, wanted))
    _print(summary, page, as_json=as_json)
    return not summary.partial


def _variants(asked: Asked, *, given_mask: bool) -> list[Variant]:
    if asked.sweep and asked.table is not None:
        raise ConfigError("give either --sweep or --table")
    if asked.table is not None:
        return _table_rows(asked, asked.table, given_mask=given_mask)
    choices = [_choices(each) for each in asked.sweep]
    variants = []
    for chosen in itertools.product(*choices):
        config = load_config(asked.profile, [*asked.settings, *chosen], asked.method)
        variants.append(Variant(", ".join(chosen), config, given_mask, chosen))
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ConfigError("a setting of the sweep is there twice")
    return variants


def _choices(sweep: str) -> list[str]:
    key, sign, values = sweep.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not sign or not key.strip() or not all(listed):
        raise ConfigError(f"--sweep {sweep!r} is not of the form section.key=value,value,...")
    return [f"{key.strip()}={value}" for value in listed]


def _table_rows(asked: Asked, number: int, *, given_mask: bool) -> list[Variant]:
    table = paper_table(number)
    variants = []
    for row in table.rows:
        if not row.runnable:
            log.warning("table %d, %s: left out (%s)", number, row.label, row.note)
            continue
        if row.prompt_set is not None:
            raise ConfigError(
                f"table {number} compares prompt sets that were never published; run the benchmark "
                f"once for each set instead: --prompt-rule prompt-set --seed 0, 1 and 2"
            )
        config = load_config(asked.profile, [*asked.settings, *row.settings], asked.method)
        variants.append(Variant(row.label, config, given_mask or row.given_mask, row.settings))
    return variants


def _folds(asked: Asked) -> list[str]:
    known = asked.benchmark.folds
    for fold in asked.folds:
        if fold not in known:
            raise ConfigError(
                f"{asked.benchmark.name} has no fold '{fold}'; it has {', '.join(known)}"
            )
    return [fold for fold in known if not asked.folds or fold in asked.folds]


def _episodes(asked: Asked, fold: str) -> list[Episode]:
    episodes = asked.benchmark.episodes(fold, asked.sampling)
    return episodes if asked.limit is None else episodes[: asked.limit]


def _fold(benchmark: Benchmark, fold: str, episodes: Sequence[Episode]) -> dict[str, Any]:
    return {
        "classes": {str(number): name for number, name in benchmark.classes(fold).items()},
        "episodes": len(episodes),
        "episodes_sha256": _sha256(episodes),
        "published_list": is_published(benchmark.name, fold, episodes),
    }


def _sha256(episodes: Sequence[Episode]) -> str:
    import hashlib

    from ipseg.benchmarks.drawing import episode_csv

    return hashlib.sha256(episode_csv(episodes)).hexdigest()


def _speed(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    seconds = sum(outcome.seconds for outcome in outcomes)
    rows = sum(outcome.done_now for outcome in outcomes)
    return {
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 3) if seconds else 0.0,
        "stages": [stage for outcome in outcomes for stage in outcome.stages],
    }


def _write_parquet(url: str, table: Any) -> None:  # noqa: ANN401
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_whole(url, buffer.getvalue())


def _print(summary: Summary, page: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**as_data(summary), "report": page}))  # noqa: T201
        return
    console = Console()
    print_summary(summary, console)
    console.print(f"report: {page}", soft_wrap=True)
