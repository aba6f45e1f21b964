"""`ipseg evaluate`: episodes, run, numbers, table, page."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from ipseg.bank import Bank
from ipseg.benchmarks.benchmark import Benchmark
from ipseg.benchmarks.episode import Episode, to_table
from ipseg.benchmarks.published.episode_lists import episode_csv, is_published
from ipseg.benchmarks.published.paper_tables import PaperTable, paper_table
from ipseg.config import Config
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.files import write_whole
from ipseg.storage.tables import write_table
from ipseg.weights.finding import random_weights
from ipseg.wording import counted
from jobs.evaluation.costs import recorded
from jobs.evaluation.page import write_page
from jobs.evaluation.request import EvaluationRequest, Resolved, as_the_paper, resolve
from jobs.evaluation.settings import Setting
from jobs.evaluation.summarise import summarise
from jobs.evaluation.summary import Summary, as_data
from jobs.evaluation.table import print_summary
from jobs.output import print_json
from jobs.terminal import plain
from pipeline.evaluate import Evaluation, evaluate
from pipeline.pairing import paired_in_order
from pipeline.results import predictions, results_table
from pipeline.runfolder.finished import BROKEN
from pipeline.submission import write_submission

log = logging.getLogger("ipseg")


def run_evaluation(request: EvaluationRequest, *, as_json: bool) -> bool:
    """Runs an evaluation, writes its tables and report, and prints its table.

    Returns:
        Whether every episode was measured.

    Raises:
        IpsegError: something the caller can fix.
    """
    request = as_the_paper(request)
    resolved = resolve(request)
    table = None if request.table is None else paper_table(request.table)
    if table is not None and any(row.prompt_set is not None for row in table.rows):
        return _run_prompt_sets(request, resolved, table, as_json=as_json)
    request.benchmark.check()
    by_fold = _by_fold(request, resolved)
    work = _work(request, resolved, by_fold)
    if not work.judged:
        return _submit(request.benchmark, work, as_json=as_json)
    summary, page = _measure(request, resolved, work, by_fold)
    if as_json:
        costs = {each.label: each.cost and asdict(each.cost) for each in summary.variants}
        print_json({**as_data(summary), "costs": costs, "report": page})
    else:
        console = Console()
        print_summary(summary, console)
        console.print(f"report: {page}", soft_wrap=True)
    return not summary.partial


def _run_prompt_sets(
    request: EvaluationRequest, resolved: Resolved, table: PaperTable, *, as_json: bool
) -> bool:
    """One evaluation for each set, in OUT/<set>/, and one table of all."""
    request.benchmark.check()
    done: dict[str, tuple[Summary, str]] = {}
    for row, setting in zip(table.rows, resolved.settings, strict=True):
        name, seed = row.prompt_set.name, row.prompt_set.seed
        log.info("%s: prompts drawn with seed %d", row.label, seed)
        sampling, out = replace(request.sampling, seed=seed), f"{request.out.rstrip('/')}/{name}"
        of_set = replace(request, out=out, sampling=sampling)
        alone = replace(resolved, settings=[setting])
        by_fold = _by_fold(of_set, alone)
        done[name] = _measure(of_set, alone, _work(of_set, alone, by_fold), by_fold)
    summaries = [summary for summary, _ in done.values()]
    if as_json:
        sets = {name: {**as_data(found), "report": page} for name, (found, page) in done.items()}
        print_json({"table": table.number, "note": table.note, "sets": sets})
    else:
        console = Console()
        variants = tuple(variant for each in summaries for variant in each.variants)
        print_summary(replace(summaries[0], variants=variants), console)
        console.print(table.note)
        for name, (_, page) in done.items():
            console.print(f"report of {name}: {page}", soft_wrap=True)
    return not any(each.partial for each in summaries)


def _submit(benchmark: Benchmark, work: Evaluation, *, as_json: bool) -> bool:
    """Runs episodes without ground truth, and writes what was found as a server takes it."""
    if not work.of_sequences:
        raise ConfigError(
            f"{benchmark.root} has no ground truth to compare with, and a folder for the server of "
            f"{benchmark.title} needs a method of sequences: add --profile sine-video"
        )
    counts = evaluate(work).outcome.counts
    failed = sum(counts[status] for status in BROKEN)
    write_table(f"{work.out}/episodes.parquet", to_table(work.episodes))
    written = write_submission(work)
    if as_json:
        print_json({"benchmark": benchmark.name, "failed": failed, "submission": written})
        return not failed
    console = Console()
    console.print(f"{benchmark.title}: no ground truth to compare with, so there is no number")
    for folder, maps in written.items():
        console.print(f"for its server, {counted(maps, 'label map')}: {folder}", soft_wrap=True)
    if failed:
        console.print(
            plain(f"PARTIAL: {counted(failed, 'video')} failed and are not in it"), style="bold red"
        )
    return not failed


def _by_fold(request: EvaluationRequest, resolved: Resolved) -> dict[str, list[Episode]]:
    return {fold: _episodes(request, fold) for fold in resolved.folds}


def _work(
    request: EvaluationRequest, resolved: Resolved, by_fold: Mapping[str, Sequence[Episode]]
) -> Evaluation:
    benchmark = request.benchmark
    work = Evaluation(
        benchmark=benchmark.name,
        episodes=[episode for episodes in by_fold.values() for episode in episodes],
        protocol=resolved.protocol,
        variants={setting.label: setting.config for setting in resolved.running},
        out=request.out.rstrip("/"),
        engine=request.engine,
        overwrite=request.overwrite,
        retry=request.retry,
        budget=request.budget,
    )
    if not work.episodes:
        raise SourceError(
            f"{benchmark.title} in {benchmark.root} has no query: every image is a prompt; "
            f"add images, or evaluate the prompts too with --include-prompt"
        )
    log.info("%s: %s", benchmark.title, counted(len(work.episodes), "episode"))
    return work


def _measure(
    request: EvaluationRequest,
    resolved: Resolved,
    work: Evaluation,
    by_fold: Mapping[str, Sequence[Episode]],
) -> tuple[Summary, str]:
    """Runs and writes one evaluation: its numbers, and the address of its report."""
    benchmark, sampling = request.benchmark, request.sampling
    started = datetime.now(UTC)
    done = evaluate(work)
    outcome = done.outcome
    configs = [setting.config for setting in resolved.settings]
    evaluation = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "method": ", ".join(dict.fromkeys(config.method_name for config in configs)),
        "profile": ", ".join(dict.fromkeys(config.profile for config in configs)),
        "shot": sampling.shot,
        "seed": sampling.seed,
        "rule": sampling.rule,
        "formula": resolved.formula,
        "formulas": resolved.formulas,
        "protocol": asdict(resolved.protocol),
        "folds": {fold: _fold(benchmark, fold, episodes) for fold, episodes in by_fold.items()},
        "all_folds": list(benchmark.folds),
        "variants": [
            _variant(setting, done.banks, resolved.refused.get(setting.label, ""))
            for setting in resolved.settings
        ],
        "dropped": benchmark.dropped.listed,
        "table": request.table,
        "config_sha256": configs[0].sha256,
        "random_weights": sorted(
            {name for each in resolved.running for name in random_weights(each.config)}
        ),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(outcome.seconds, 3),
        "rows_per_second": round(outcome.rows_per_second, 3),
        "stages": outcome.stages,
        "costs": recorded(outcome.costs, work.out),
    }
    write_table(f"{work.out}/episodes.parquet", to_table(work.episodes))
    results = results_table(work.out, work.asked, list(work.variants))
    if resolved.protocol.pairing == "order":
        results = paired_in_order(work.out, work.episodes, results)
    write_table(f"{work.out}/results.parquet", results)
    write_whole(f"{work.out}/evaluation.json", json.dumps(evaluation, indent=1).encode())
    summary = summarise(work.out)
    return summary, write_page(summary, predictions)


def _variant(setting: Setting, banks: Mapping[str, Bank], why: str) -> dict[str, Any]:
    """A setting as evaluation.json has it, and why it is not run, if so."""
    method = setting.config.method
    steps = [] if why else method.image_steps(banks[setting.label])
    return {
        **{"label": setting.label, "settings": list(setting.overrides)},
        "method": setting.config.method_name,
        "published_as": method.published_as,
        "profile": setting.config.profile,
        "given": _given(setting.config),
        "steps": [step.name for step in steps],
        "refused": why,
    }


def _given(config: Config) -> str:
    """What is given of an example, as `ipseg.benchmarks.published.published.Given`."""
    if config.method.prompted_by == "name":
        return "name"
    return "mask" if config.support.kind == "mask" else "image"


def _episodes(request: EvaluationRequest, fold: str) -> list[Episode]:
    episodes = request.benchmark.episodes(fold, request.sampling)
    return episodes if request.limit is None else episodes[: request.limit]


def _fold(benchmark: Benchmark, fold: str, episodes: Sequence[Episode]) -> dict[str, Any]:
    return {
        "classes": {str(number): name for number, name in benchmark.classes(fold).items()},
        "episodes": len(episodes),
        "episodes_sha256": hashlib.sha256(episode_csv(episodes)).hexdigest(),
        "published_list": is_published(benchmark.name, fold, episodes),
    }
