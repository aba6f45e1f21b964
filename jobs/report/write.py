"""Puts the report of a run together, finished or not, and writes OUT/report.html."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from typing import Any

import yaml

from ipseg.errors import OutputError
from ipseg.scores.suggestion import Suggestion
from ipseg.vision.images import ImageLimits
from ipseg.vision.overlay import Colour, colour_of
from ipseg.weights.finding import random_sentence
from jobs.evaluation.page import write_page
from jobs.evaluation.summarise import summarise
from jobs.originals import originals
from jobs.pages.charts import histogram, mirrored
from jobs.pages.galleries import Gallery, galleries
from jobs.pages.template import template, write_rendered
from jobs.pages.views import css
from jobs.report.calibration import calibration_of
from jobs.report.counts import counts_of
from jobs.report.how_far import how_far
from jobs.report.prompts import prompts_of
from jobs.report.rounds import rounds_of
from jobs.report.survey import Survey, survey
from jobs.report.tiles import row_tile
from pipeline.labels.calibration import Calibration
from pipeline.labels.review import Review
from pipeline.labels.thresholds import suggest
from pipeline.results import predictions
from pipeline.runfolder.bank import bank_of
from pipeline.runfolder.folder import unreadable
from pipeline.runfolder.ignored import ignored_line, read_ignored
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import Place, read_place

_GROUPS = 20  # of failures


def write_report(out: str, since: str | None = None) -> str:
    """Writes the report of a run, or of an evaluation; the run itself is left as it is.

    It may still be going on: then the report is of what is written so far, and says so.

    Args:
        out: run folder, path or fsspec URL.
        since: an earlier run over the same images; the report then says what has changed.

    Returns:
        Address of the report.

    Raises:
        OutputError: there is no run at one of these places, or nothing of it is written yet.
    """
    out = out.rstrip("/")
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    if "episodes" in manifest.identity:
        if since is not None:
            raise OutputError(f"{out} is an evaluation: --since compares runs of `ipseg segment`")
        return _of_evaluation(manifest)
    try:
        return _of_run(manifest, None if since is None else since.rstrip("/"))
    except FileNotFoundError as error:
        raise OutputError(unreadable(str(error.filename or out), error)) from error


def _of_evaluation(manifest: Manifest) -> str:
    if not manifest.runs[-1]["finished"]:
        run = shlex.quote(manifest.out)
        raise OutputError(
            f"the evaluation in {manifest.out} is not finished, and its report is about all of it; "
            f"`ipseg status {run}` says how far it is, `ipseg show {run} --sample 24` draws some"
        )
    return write_page(summarise(manifest.out), predictions)


def _of_run(manifest: Manifest, since: str | None) -> str:
    out, about, runs = manifest.out, manifest.about, manifest.runs
    metrics, unfinished = how_far(manifest)
    reviews = {run: Review.read(run) for run in (out, since) if run is not None}
    calibration = Calibration.read(out)
    if calibration is not None and not calibration.fits(manifest):
        calibration = None  # of scores that were changed since
    found = survey(out, reviews[out])
    new = (each.new_concepts(about["concepts"]) for each in reviews.values())
    earlier = Manifest.read(since) if since is not None else None
    before = earlier.about["concepts"] if earlier is not None else ()
    names = dict.fromkeys([*about["concepts"], *before, *chain.from_iterable(new)])
    colours = {name: colour_of(index) for index, name in enumerate(names)}
    looked_for = {name: colours[name] for name in about["concepts"]}
    limits = ImageLimits(**about["config"]["images"])

    def tile_of(run: str, place: Place) -> dict[str, Any]:
        row = read_place(place)
        drawn = (row, lambda: originals(run, place, row, limits), colours)
        return row_tile(*drawn, reviews[run], calibration)

    def tile(place: Place) -> dict[str, Any]:
        return tile_of(out, place)

    rounds, changed = (None, None) if since is None else rounds_of(since, out, looked_for, tile_of)
    quality = metrics["quality"]
    up = found.scores if quality is None else found.present_scores
    return write_rendered(
        out,
        template("jobs.report", "report.html"),
        manifest={**about, "runs": runs},
        metrics=metrics,
        unfinished=unfinished,
        random=random_sentence(about.get("random_weights", ())),
        ignored=ignored_line(read_ignored(out)),
        started=runs[0]["started"],
        finished=runs[-1]["finished"],
        concepts=_concepts(looked_for, quality, found, suggest(out, list(looked_for))),
        decided=dict(found.decided),
        calibration=calibration_of(calibration),
        prompts=prompts_of(bank_of(out, about), looked_for),
        counts=counts_of(out, looked_for),
        rounds=rounds,
        galleries=[
            *([changed] if changed else []),
            *_galleries(found, tile, measured=quality is not None),
        ],
        broken=[
            ("Failed", "row", found.failures),
            ("Not compared", "comparison", found.not_compared),
        ],
        most_groups=_GROUPS,
        scores=mirrored(up.values(), found.absent_scores.values() if quality else ()),
        ious=histogram(found.ious),
        settings=yaml.safe_dump(about["config"], sort_keys=False, allow_unicode=True),
    )


def _concepts(
    colours: Mapping[str, Colour],
    quality: Mapping[str, Any] | None,
    found: Survey,
    suggestions: Mapping[str, Suggestion],
) -> list[dict[str, Any]]:
    """One line of the results table for each concept."""
    up = found.scores if quality is None else found.present_scores
    return [
        {
            "name": name,
            "colour": css(colour),
            "quality": None if quality is None else quality["concepts"].get(name),
            "found": int(up[name].sum()),
            "suggestion": suggestions[name],
            "spark": mirrored([up[name]], [found.absent_scores[name]] if quality else ()),
        }
        for name, colour in colours.items()
    ]


def _galleries(
    found: Survey, tile: Callable[[Place], dict[str, Any]], *, measured: bool
) -> list[Gallery]:
    """The rows to look at, each read and drawn once however many galleries it is in."""
    if measured:
        ranking = found.measured
        chosen = [
            ("Best", "Highest IoU of each concept, in turn.", ranking.best()),
            ("Worst", "Lowest IoU of a concept that is there.", ranking.worst()),
            ("Several concepts", "Drawn by lot.", ranking.several()),
            (
                "None present",
                "Nothing here should score. The highest scores first, then the lowest.",
                found.none_present(),
            ),
        ]
    else:
        ranking = found.unmeasured
        chosen = [
            ("Highest scores", "Of each concept, in turn.", ranking.best()),
            ("Lowest scores", "The best score is low.", ranking.worst()),
            ("Several concepts", "Scores near each other; drawn by lot.", ranking.several()),
        ]
    chosen.append(("Nothing found", "Drawn by lot.", found.nothing_found()))
    return galleries(chosen, cache(tile))
