"""`ipseg plan` as a function: what a run would run on, how it is cut up, how long it might take."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, replace
from itertools import islice

from ipseg.rows import Row
from pipeline.engines.choice import EngineName, suiting_engine
from pipeline.job import OUTPUT_COLUMNS, SOURCE_COLUMNS, image_steps
from pipeline.planning.calibration import StageCost, balanced, calibration_rows
from pipeline.planning.estimate import Estimate, estimate
from pipeline.planning.plan import Plan, check_settings
from pipeline.prompts import OUTPUT_COLUMNS as BANK_COLUMNS
from pipeline.prompts import SOURCE_COLUMNS as PROMPT_COLUMNS
from pipeline.prompts import banks_of, describe
from pipeline.segment import Request, job_of
from pipeline.sources.source import list_source
from pipeline.stages.stage import build_stages

log = logging.getLogger("ipseg")

PER_IMAGES = 1000  # what an estimate is for where nobody knows how many there are


@dataclass(frozen=True)
class Preview:
    """What `ipseg plan` finds out.

    Attributes:
        images: the plan of the images' stages.
        prompts: the plan of the prompts' stages; None with a prompt bank.
        rows: images of the source or as asked for; None if only reading would tell.
        costs: by stage of the images; None if not calibrated.
        estimate: for `rows`, or for `PER_IMAGES` where these are unknown; None without costs.
        engine: that a run has where nobody names one; the plan is that of 'ray'.
        why: it has this one.
    """

    images: Plan
    prompts: Plan | None
    rows: int | None
    costs: dict[str, StageCost] | None
    estimate: Estimate | None
    engine: EngineName
    why: str


def preview(request: Request, *, calibrated: bool, count: int | None = None) -> Preview:
    """Plans a run without starting it. Nothing is written but to a scratch folder.

    Starts Ray to see the machines, or joins the session that is there. No image is looked at,
    unless `calibrated`: then the prompts are described and the first images go through.

    Args:
        request: as for `segment`; its `out` is not touched.
        calibrated: measure the stages, and balance the pools by it.
        count: images to estimate for; None counts those of the source.

    Raises:
        IpsegError: something the caller can fix; a plan that does not fit is a PlanError.
    """
    from pipeline.engines.ray_engine import RayEngine  # importing Ray takes a second

    runtime = request.config.runtime
    with tempfile.TemporaryDirectory(prefix="ipseg-plan-") as scratch, RayEngine(runtime) as engine:
        job = job_of(replace(request, out=scratch))
        rows, first = count, list[Row]()
        if calibrated or count is None:
            wanted = calibration_rows(runtime.batch_size) if calibrated else 0
            listed, first = _first_rows(request, scratch, wanted)
            rows = count or listed
        chains = job.chains
        steps = image_steps(job, banks_of(job.bank_folder, job.variants, chains))
        passes = None if rows is None else rows * len(job.variants)
        suits, why = suiting_engine(passes, steps, pools_by=runtime.pools_by)  # before Ray starts
        prompts, costs = None, None
        if job.prompts is not None:
            number = len(job.prompts.rows)
            prompts = engine.plan(chains.steps, PROMPT_COLUMNS, BANK_COLUMNS, number)
        images = engine.plan(steps, SOURCE_COLUMNS, OUTPUT_COLUMNS, rows)
        described = build_stages(chains.steps, PROMPT_COLUMNS, BANK_COLUMNS)
        stages = [*(each.stage for each in images.stages), *described]
        check_settings(runtime, [stage.name for stage in stages])
        if calibrated:
            if job.prompts is not None:
                bank = job.bank_folder
                describe(bank, job.prompts, job.variants, engine, about={})
            log.info("measuring the stages on %d images", len(first))
            images, costs = balanced(images, first, runtime, rows)
    guess = estimate(images, costs, rows or PER_IMAGES) if costs else None
    return Preview(images, prompts, rows, costs, guess, suits, why)


def _first_rows(request: Request, scratch: str, wanted: int) -> tuple[int | None, list[Row]]:
    """How many images there are, if the listing tells, and the first of them."""
    sequences = request.config.method.row_is == "sequence"
    with list_source(request.images, scratch, request.columns, sequences=sequences) as listed:
        if not wanted:
            return listed.rows, []
        return listed.rows, list(islice(listed.write(scratch).read(), wanted))
