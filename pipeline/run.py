"""`ipseg segment` as a function: check, make the bank, stream the images, keep the books.

The same command started again goes on where the last one ended, whatever ended it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipseg.bank import PromptBank
from ipseg.config import Config
from ipseg.errors import PromptError, SourceError
from ipseg.methods import Method, create_method
from ipseg.prompts import check_prompts, find_prompts
from ipseg.rows import Row, check_chain
from ipseg.steps.compare import CompareWithMasks, mask_path
from ipseg.storage.files import exists, is_folder, write_whole
from pipeline.engines.local_engine import LocalEngine
from pipeline.engines.record import FailureBudget
from pipeline.process import (
    EngineName,
    Outcome,
    Work,
    earlier_shard_count,
    engine_for,
    process,
    write_shards,
)
from pipeline.quality import measure_quality, unseen_concepts
from pipeline.runfolder.identity import (
    config_sha256,
    prompts_identity,
    run_identity,
    weights_identity,
)
from pipeline.runfolder.ledger import Retry
from pipeline.runfolder.open_run import OpenRun, open_run
from pipeline.runfolder.sink import MASKS, Provenance, ShardWriter
from pipeline.sources.shard import Columns
from pipeline.sources.source import list_source

if TYPE_CHECKING:
    from pipeline.engines.ray_engine import RayEngine

log = logging.getLogger("ipseg")

SOURCE_COLUMNS = ("key", "shard", "uri", "image_bytes")
PROMPT_COLUMNS = ("key", "uri", "concept", "image_bytes", "mask_bytes")
BANK_COLUMNS = (
    *("key", "uri", "concept", "width", "height", "image_sha256"),
    *("description", "prompt_mask", "mask_source", "warning", "thumbnail"),
)
OUTPUT_COLUMNS = ("key", "shard", "uri", "width", "height", "objects")


@dataclass(frozen=True)
class Request:
    """What to segment, with what, and where to.

    Attributes:
        images: folder, glob or file; path or fsspec URL.
        out: run folder, path or fsspec URL.
        config: from `load_config`.
        prompts: folder of prompt images; this or `prompt_bank` must be given.
        prompt_bank: a bank saved by an earlier run.
        masks: ground truth to compare with, or None.
        columns: for Parquet sources.
        engine: 'ray', or 'local' for this process alone.
        overwrite: replace a run that is there already, instead of going on with it.
        retry: finished rows to do again, None for none.
        budget: failed rows after which the run is stopped.
        calibrated: size the pools by what stages cost on the first rows.
    """

    images: str
    out: str
    config: Config
    prompts: str | None = None
    prompt_bank: str | None = None
    masks: str | None = None
    columns: Columns = field(default_factory=Columns)
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    budget: FailureBudget = field(default_factory=FailureBudget)
    calibrated: bool = False


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        out: its folder.
        counts: rows by status.
        metrics: what metrics.json holds.
        warnings: about prompts and ground truth.
    """

    out: str
    counts: dict[str, int]
    metrics: dict[str, Any]
    warnings: tuple[str, ...]


def segment(request: Request) -> Run:
    """Segments a collection and writes the run folder, or goes on with the run that is there.

    Raises:
        IpsegError: something the caller can mend, found before any work is done where possible.
    """
    config, out = request.config, request.out.rstrip("/")
    prompts, bank = load_prompts(request)
    concepts = bank.names if bank else tuple(sorted({row["concept"] for row in prompts}))
    by_concept = _masks_by_concept(request.masks, concepts)
    weights = weights_identity(config)
    identity = run_identity(
        config,
        weights,
        prompts=prompts_identity(prompts, request.prompt_bank),
        source=request.images,
        ground_truth=request.masks,
    )
    clock = time.perf_counter()
    with (
        list_source(request.images, out, request.columns) as listed,
        open_run(out, identity, overwrite=request.overwrite) as run,
    ):
        source = listed.write(out, earlier_shard_count(out))
        write_shards(out, source.shards)
        with engine_for(
            request.engine, config.runtime, request.budget, calibrated=request.calibrated
        ) as engine:
            method = create_method(config)
            bank = bank or _bank(run, method, engine, prompts)
            for warning in bank.warnings:
                log.warning("%s", warning)
            write_whole(f"{out}/prompt_bank.parquet", bank.to_parquet())
            provenance = Provenance(
                run_id=run.run_id,
                model=f"{config.method}/{config.profile}",
                config_sha256=config_sha256(config, weights),
                prompt_ids=tuple(bank.prompt_ids),
            )
            run.begin(
                config,
                provenance.config_sha256,
                request.engine,
                concepts=list(bank.names),
                prompt_ids=bank.prompt_ids,
                images=request.images,
                source_kind=source.kind,
                ignored_files=source.ignored,
                masks=request.masks,
            )
            steps, wanted = method.image_steps(bank), [*OUTPUT_COLUMNS]
            if request.masks is not None:
                steps.append(CompareWithMasks(request.masks, bank.names, by_concept))
                wanted.append("metrics")
            writer = ShardWriter(out, provenance, MASKS)
            work = Work(source, steps, SOURCE_COLUMNS, wanted, writer, request.retry)
            outcome = process(engine, work, request.budget)
        metrics = _metrics(outcome, time.perf_counter() - clock)
        unseen: list[str] = []
        if request.masks is not None:
            metrics["quality"] = measure_quality(out)
            names = unseen_concepts(metrics["quality"], bank.names)
            unseen = [_without_masks(request.masks, name, by_concept) for name in names]
        for warning in unseen:
            log.warning("%s", warning)
        write_whole(f"{out}/metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
        run.finish(outcome.counts)
    if not sum(outcome.counts.values()):
        raise SourceError(f"no image in {request.images}")
    return Run(out, outcome.counts, metrics, (*bank.warnings, *unseen))


def _bank(
    run: OpenRun, method: Method, engine: LocalEngine | RayEngine, prompts: Sequence[Row]
) -> PromptBank:
    """The bank that an earlier run made of these prompts, or a new one."""
    saved = f"{run.out}/prompt_bank.parquet"
    if run.earlier is not None and exists(saved):
        return PromptBank.read(saved)
    # What the images' steps need does not depend on what they look for: refused now if at all.
    engine.plan(method.image_steps(PromptBank((), "")), SOURCE_COLUMNS, OUTPUT_COLUMNS)
    log.info("describing %d prompt images", len(prompts))
    steps = method.prompt_steps()
    check_chain(steps, PROMPT_COLUMNS)
    return method.bank(engine.collect(steps, prompts, PROMPT_COLUMNS, BANK_COLUMNS))


def _metrics(outcome: Outcome, seconds: float) -> dict[str, Any]:
    return {
        "rows": outcome.counts,
        "rows_before": outcome.before,
        "seconds": round(seconds, 3),
        "images_seconds": round(outcome.seconds, 3),
        "images_per_second": round(outcome.done_now / outcome.seconds, 3),
        "stages": [
            {**stage, "rows_per_second": round(stage["rows"] / outcome.seconds, 3)}
            for stage in outcome.stages
        ],
        "quality": None,
        "baselines": None,
    }


def load_prompts(request: Request) -> tuple[list[Row], PromptBank | None]:
    """Prompt rows, checked, or a bank that fits the configuration.

    Raises:
        PromptError: nothing usable is there; names the file.
    """
    if (request.prompts is None) == (request.prompt_bank is None):
        raise PromptError("give either a folder of prompt images or a prompt bank")
    if request.prompt_bank is not None:
        bank = PromptBank.read(request.prompt_bank)
        bank.check_settings(request.config, request.prompt_bank)
        return [], bank
    rows = find_prompts(str(request.prompts))
    check_prompts(rows, request.config.images)
    return rows, None


def _without_masks(masks: str, concept: str, by_concept: bool) -> str:
    example = mask_path(masks, "a/b.jpg", concept if by_concept else None)
    return (
        f"no picture shows '{concept}' by its masks in {masks}, so there is nothing to compare "
        f"with; if that is wrong, look at their names: that of a/b.jpg is {example}"
    )


def _masks_by_concept(masks: str | None, concepts: Sequence[str]) -> bool:
    """Whether the ground truth has a folder for each concept, or is flat for a single one."""
    if masks is None:
        return False
    root = masks.rstrip("/")
    if not is_folder(root):
        raise SourceError(f"mask folder {masks} does not exist")
    missing = [name for name in concepts if not is_folder(f"{root}/{name}")]
    if not missing:
        return True
    if len(concepts) == 1:
        return False
    raise SourceError(
        f"{masks} has no folder '{missing[0]}'; with several concepts, the mask of a/b.jpg is "
        f"{mask_path(masks, 'a/b.jpg', missing[0])}"
    )
