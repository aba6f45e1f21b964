"""Images and prompts to objects in a run folder: what `segment` and `evaluate` have in common.

The same command started again goes on where the last one ended, whatever ended it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ipseg.bank import Bank
from ipseg.config import Config
from ipseg.errors import ConfigError
from ipseg.methods.chain import PromptChains, image_chain
from ipseg.rows import Step, check_chain
from ipseg.weights.finding import random_weights
from pipeline.planning.plan import check_settings
from pipeline.process import (
    Engine,
    Outcome,
    Start,
    Work,
    earlier_shard_count,
    engine_for,
    process,
    write_shards,
)
from pipeline.prompts import OUTPUT_COLUMNS as PROMPT_OUTPUT
from pipeline.prompts import SOURCE_COLUMNS as PROMPT_COLUMNS
from pipeline.prompts import Prompts, banks_of, chains_of, describe
from pipeline.runfolder.bank import bank_rows
from pipeline.runfolder.folder import BANK
from pipeline.runfolder.manifest import weights_identity
from pipeline.runfolder.open_run import OpenRun, open_run
from pipeline.runfolder.sink import CROWDS, KEPT, OBJECTS, ShardWriter
from pipeline.sources.source import Source
from pipeline.stages.stage import build_stages

SOURCE_COLUMNS = (
    *("key", "shard", "uri", "version", "carried", "image_bytes", "frame_uris", "crop", "asks"),
    *KEPT.values(),
)
_OF_THE_BANK = ("prompts", "benchmark", "episodes")  # of the identity
OUTPUT_COLUMNS = (
    *("key", "shard", "uri", "version", "carried", "content_hash", "width", "height"),
    *OBJECTS,
    *KEPT.values(),
)

JudgeSteps = Callable[[dict[str, Bank]], list[Step]]


class Listed(Protocol):
    """A collection that was looked through and can be cut into shards."""

    def write(self, out: str, shards: int | None = None) -> Source:
        """The source; what has to be listed is written below OUT."""


@dataclass(frozen=True)
class Job(Start):
    """What to look for, where, with which settings, and where to write it.

    Attributes:
        out: run folder, path or fsspec URL.
        variants: label -> configuration; one with the label "", or several to compare.
        listing: context that gives the collection.
        prompts: what to look for; None with a `bank`.
        bank: folder of a bank that an earlier run has made.
        identity: what the run folder is bound to beside settings and weights.
        about: what else the manifest says.
        judge: makes the steps that compare objects with ground truth; None for none.
        prompt_ids: write the prompts' ids into each row.
        looks_for: concepts that every row is asked for; None where rows say it themselves.
        steps: of one's own, after those of the method and before the judge.
    """

    out: str
    variants: Mapping[str, Config]
    listing: AbstractContextManager[Listed]
    prompts: Prompts | None
    bank: str | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    judge: JudgeSteps | None = None
    prompt_ids: bool = False
    looks_for: Sequence[str] | None = None
    steps: Sequence[Step] = ()

    @property
    def config(self) -> Config:
        """Of the first variant: batches, pools and places of weights are taken from here."""
        return next(iter(self.variants.values()))

    @property
    def chains(self) -> PromptChains:
        """How its prompts are described.

        Raises:
            ConfigError: a part that a support needs is not set.
        """
        return chains_of(self.variants, self.prompts or Prompts((), {}))

    @property
    def random_weights(self) -> list[str]:
        """Weights that are random, of all variants."""
        return sorted({name for each in self.variants.values() for name in random_weights(each)})

    @property
    def bank_folder(self) -> str:
        """Where the bank is, or will be."""
        return self.bank or f"{self.out}/{BANK}"


@dataclass(frozen=True)
class Done:
    """A finished job.

    Attributes:
        outcome: of the images.
        banks: label -> bank.
        seconds: of everything, prompts included.
    """

    outcome: Outcome
    banks: dict[str, Bank]
    seconds: float


def run_job(job: Job) -> Done:
    """Describes the prompts, streams the images through all variants, writes the run folder.

    Raises:
        IpsegError: something the caller can fix, found before any work is done where possible.
    """
    identity = run_identity(job)
    for config in job.variants.values():
        config.method.check(config.models)
    clock = time.perf_counter()
    with job.listing as listed, open_run(job.out, identity, overwrite=job.overwrite) as run:
        _check_added(job, run)
        source = listed.write(job.out, earlier_shard_count(job.out))
        write_shards(job.out, source.shards)
        banks = banks_of(job.bank_folder, job.variants, job.chains)
        steps = image_steps(job, banks)
        rows = None if source.rows is None else source.rows * len(job.variants)
        runtime = job.config.runtime
        with engine_for(job.engine, runtime, steps, rows, calibrated=job.calibrated) as engine:
            _check_stages(job, engine, steps)
            if job.prompts is not None:
                describe(
                    job.bank_folder,
                    job.prompts,
                    job.variants,
                    engine,
                    about={n: v for n, v in job.identity.items() if n in _OF_THE_BANK},
                    retry=job.retry,
                    unused=run.earlier is None,
                )
            by = run.begin(
                job.config,
                engine.name,
                prompt_ids=_prompt_ids(job),
                looks_for=job.looks_for,
                bank=job.bank or BANK,
                row_is=job.config.method.row_is,
                source_kind=source.kind,
                ignored_files=source.ignored,
                random_weights=job.random_weights,
                **job.about,
            )
            also = counted(steps)
            writer = ShardWriter(job.out, by, (*OBJECTS, *also), carried=source.carried)
            work = Work(
                *(source, steps, SOURCE_COLUMNS, (*OUTPUT_COLUMNS, *also)),
                *(writer, runtime.part_rows, job.retry),
                earlier=run.earlier_runs,
                missing=run.missing(job.looks_for),
                check_content=job.check_content,
            )
            outcome = process(engine, work, job.budget)
            run.finish(outcome.counts, outcome.rows_per_second)
    return Done(outcome, banks, time.perf_counter() - clock)


def _check_added(job: Job, run: OpenRun) -> None:
    """Refuses concepts that were added to a run in which they would change what was found."""
    compete = [c.method_name for c in job.variants.values() if c.method.concepts_compete]
    added = {name for names in run.missing(job.looks_for).values() for name in names}
    if compete and added:
        raise ConfigError(
            f"{job.out} was made without the prompts of {', '.join(sorted(added))}: its method "
            f"'{compete[0]}' looks for all concepts together, so what it found of the others would "
            f"change; choose another --out, or start over with --overwrite"
        )


def run_identity(job: Job) -> dict[str, Any]:
    """What the run folder is bound to: settings by their names, under their label in a comparison.

    Raises:
        WeightsError: weights are missing; says how to get them.
    """
    settings = {label: config.relevant for label, config in job.variants.items()}
    weights: dict[str, Any] = {}
    for config in job.variants.values():
        weights |= weights_identity(config.resolved, config)
    alone = list(settings) == [""]
    return {
        **(settings[""] if alone else {"variants": settings}),
        "weights": weights,
        **job.identity,
    }


def image_steps(job: Job, banks: Mapping[str, Bank]) -> list[Step]:
    """What is done with an image.

    Raises:
        ConfigError: a step needs a column that none before it provides.
    """
    judge = job.judge(dict(banks)) if job.judge else []
    steps = [*image_chain(job.variants, banks), *job.steps, *judge]
    check_chain(steps, SOURCE_COLUMNS)
    return steps


def counted(steps: Sequence[Step]) -> tuple[str, ...]:
    """The column of counts, where a step provides it."""
    return (CROWDS,) if any(CROWDS in step.provides for step in steps) else ()


def _check_stages(job: Job, engine: Engine, steps: Sequence[Step]) -> None:
    """Refuses a plan that does not fit, and settings of stages that there are not."""
    stages = engine.check(steps, SOURCE_COLUMNS, OUTPUT_COLUMNS)
    # With a bank from elsewhere they are not run, but a profile may have settings for them.
    check = engine.check if job.prompts is not None else build_stages
    stages += check(job.chains.steps, PROMPT_COLUMNS, PROMPT_OUTPUT)
    check_settings(job.config.runtime, [stage.name for stage in stages])


def _prompt_ids(job: Job) -> list[str]:
    if not job.prompt_ids:
        return []
    return [
        f"{row['concept']}:{row['image_sha256'][:16]}"
        for row in sorted(bank_rows(job.bank_folder), key=lambda row: str(row["key"]))
        if row["image_sha256"]
    ]
