"""`ipseg segment` as a function: check the request, run the job, measure it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ipseg.bank import Bank
from ipseg.benchmarks.protocol import Protocol
from ipseg.config import Config
from ipseg.errors import ConfigError, PromptError, SourceError
from ipseg.parts import unknown
from ipseg.prompts import check_prompts, gather_prompts
from ipseg.rows import Row, Step
from ipseg.steps.find_ground_truth import FindGroundTruth
from ipseg.steps.function import FunctionStep
from ipseg.steps.judge import Judge
from ipseg.storage.files import write_whole
from pipeline.job import Done, Job, JudgeSteps, run_job
from pipeline.labels.presence import quality_at
from pipeline.labels.thresholds import suggested
from pipeline.mask_use import MaskUse, ground_truth_in
from pipeline.process import Start
from pipeline.prompts import Prompts, bank_sha256, check_bank
from pipeline.runfolder.bank import bank_folder, bank_rows
from pipeline.runfolder.ignored import ignored_line, read_ignored
from pipeline.runfolder.sink import output_schema
from pipeline.sources.carry import check_names
from pipeline.sources.parquet import Columns
from pipeline.sources.source import list_source

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Request(Start):
    """What to segment, with what, and where to.

    Attributes:
        images: folder, glob or file; path or fsspec URL.
        out: run folder, path or fsspec URL.
        config: from `load_config`.
        prompts: folder of prompt images, a file, or a glob; this, `named` or `bank` must be given.
        named: "NAME=URL": prompt images of one concept; added to `prompts`.
        boxes: "NAME=x0,y0,x1,y1": boxes on prompts.
        points: "NAME=x,y": points on prompts.
        bank: run folder of an earlier run, or the bank in it.
        masks: ground truth to compare with, or None.
        columns: for Parquet sources.
        steps: of one's own, after those of the method: steps, or plain functions rows -> rows that
            change `objects`.
    """

    images: str
    out: str
    config: Config
    prompts: str | None = None
    named: Sequence[str] = ()
    boxes: Sequence[str] = ()
    points: Sequence[str] = ()
    bank: str | None = None
    masks: str | None = None
    columns: Columns = field(default_factory=Columns)
    steps: Sequence[Step | Callable[[list[Row]], list[Row]]] = ()


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        out: its folder.
        counts: rows by status.
        metrics: what metrics.json holds.
        warnings: about prompts and ground truth.
        row_is: "image", or "sequence" where a row is one.
    """

    out: str
    counts: dict[str, int]
    metrics: dict[str, Any]
    warnings: tuple[str, ...]
    row_is: str


def segment(request: Request) -> Run:
    """Segments a collection and writes the run folder, or goes on with the run that is there.

    Raises:
        IpsegError: something the caller can fix, found before any work is done where possible.
    """
    job = job_of(request)
    done = run_job(job)
    bank = done.banks[""]
    rows = sum(done.outcome.counts.values())
    metrics = _metrics(done) | {
        "suggested": suggested(job.out, list(bank.categories)) if rows else {},
        "ignored_files": read_ignored(job.out),
        "random_weights": job.random_weights,
    }
    warnings = prompt_warnings(job.bank_folder)
    if request.masks is not None and rows:
        step = ground_truth_in(request.masks, list(bank.categories))
        use = MaskUse.of(job.out, step)
        metrics["quality"] = quality_at(job.out, metrics["suggested"])
        lines = [*use.lines(request.masks), *_without_masks(step, metrics["quality"])]
        metrics["ground_truth"] = {**use.record(), "warnings": lines}
        warnings += lines
    for warning in warnings:
        log.warning("%s", warning)
    write_whole(f"{job.out}/metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
    if not rows:
        why = ignored_line(metrics["ignored_files"])
        raise SourceError(f"no image in {request.images}{'; ' + why if why else ''}")
    row_is = request.config.method.row_is
    return Run(job.out, done.outcome.counts, metrics, tuple(warnings), row_is)


def job_of(request: Request) -> Job:
    """The job that does it.

    Raises:
        ConfigError: a setting is about a concept that is not among the prompts.
        PromptError: nothing usable is there; names the file.
        SourceError: the ground truth is not there, or not as it has to be.
    """
    prompts, bank = load_prompts(request)
    sequences = request.config.method.row_is == "sequence"
    out = request.out.rstrip("/")
    names = sorted(
        prompts.concepts if prompts else {row["concept"] for row in bank_rows(str(bank))}
    )
    for concept in getattr(request.config.method, "names", {}):
        if concept not in names:
            raise ConfigError(unknown("concept in --names", concept, names))
    identity: dict[str, Any] = {
        "prompts": prompts.identity if prompts else {"bank": bank_sha256(str(bank))},
        "source": request.images.rstrip("/") or request.images,  # as a shell completes it
        "ground_truth": request.masks,
    }
    steps = [each if isinstance(each, Step) else FunctionStep(each) for each in request.steps]
    if request.columns.carry:
        check_names(request.columns.carry, (*output_schema().names, "shard"))
        identity["carry"] = list(request.columns.carry)
    if steps:
        identity["steps"] = [step.name for step in steps]
    return Job(
        out=out,
        variants={"": request.config},
        listing=list_source(request.images, out, request.columns, sequences=sequences),
        prompts=prompts,
        bank=bank,
        identity=identity,
        about={"concepts": names, "images": request.images, "masks": request.masks},
        judge=_judge(request, names),
        prompt_ids=True,
        looks_for=names,
        steps=steps,
        **request.start,
    )


def load_prompts(request: Request) -> tuple[Prompts | None, str | None]:
    """The prompts, checked, or the folder of a bank that fits the configuration.

    Raises:
        PromptError: nothing usable is there; names the file.
    """
    if (request.prompts is None and not request.named) == (request.bank is None):
        raise PromptError("give either prompt images or a prompt bank")
    if request.bank is not None:
        folder = bank_folder(request.bank)
        check_bank(folder, request.config)
        return None, folder
    rows = gather_prompts(request.prompts, request.named, request.boxes, request.points)
    check_prompts(rows, request.config.images)
    concepts: dict[str, list[str]] = {}
    for row in rows:
        concepts.setdefault(row["concept"], []).append(row["key"])
    return Prompts(rows, concepts), None


def prompt_warnings(folder: str) -> list[str]:
    """One line for each prompt of a bank that looks wrong."""
    return [
        f"prompt {row['key']} ({row['concept']}): {prompt['warning']}"
        for row in bank_rows(folder)
        for prompt in row["prompts"]
        if prompt["warning"]
    ]


def _judge(request: Request, names: Sequence[str]) -> JudgeSteps | None:
    if request.masks is None:
        return None
    find = ground_truth_in(request.masks, names)

    def steps(banks: dict[str, Bank]) -> list[Step]:
        asked = replace(find, bank=banks[""])
        orientation = request.config.images.mask_orientation
        return [asked, Judge(Protocol(mask_orientation=orientation), banks)]

    return steps


def _metrics(done: Done) -> dict[str, Any]:
    outcome = done.outcome
    return {
        "rows": outcome.counts,
        "rows_before": outcome.before,
        "seconds": round(done.seconds, 3),
        "images_seconds": round(outcome.seconds, 3),
        "images_per_second": round(outcome.rows_per_second, 3),
        "stages": [
            {**stage, "rows_per_second": round(stage["rows"] / outcome.seconds, 3)}
            for stage in outcome.stages
        ],
        "quality": None,
        "baselines": None,
    }


def _without_masks(step: FindGroundTruth, quality: dict[str, Any] | None) -> list[str]:
    """A line for each concept that no image has by the ground truth."""
    measured = {} if quality is None else quality["concepts"]
    tried = {name for name, each in measured.items() if each["present"] or each["failed"]}
    return [
        f"no image has '{name}' by its masks in {step.root}, so there is nothing to compare with; "
        f"if that is wrong, look at their names: that of a/b.jpg is "
        f"{step.places('a/b.jpg', name)[0][-1]}"
        for name in step.concepts
        if name not in tried
    ]
