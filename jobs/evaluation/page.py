"""Puts the report of an evaluation together and writes OUT/report.html."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ipseg.metrics import FORMULAS
from ipseg.weights.finding import random_sentence
from jobs.evaluation import wording
from jobs.evaluation.comparison import Comparison
from jobs.evaluation.episodes import (
    EXAMPLE,
    FOUND,
    TRUE,
    Judged,
    Predictions,
    best,
    by_lot,
    draw_episodes,
    judged,
    worst,
)
from jobs.evaluation.paper import lines
from jobs.evaluation.plots import Axis, Scatter, axis, mark, scatter
from jobs.evaluation.summary import Number, Summary, Variant
from jobs.failures import Groups
from jobs.pages.charts import BINS, histogram
from jobs.pages.galleries import Gallery, galleries
from jobs.pages.template import template, write_rendered
from jobs.pages.views import css

_CLASSES = 60
_FAILURES = 20  # groups of them
_FILTERS = {
    "percent": wording.percent,
    "span": wording.span,
    "points": wording.points,
    "fold": wording.fold_title,
}


def write_page(summary: Summary, predictions: Predictions) -> str:
    """Writes the report of an evaluation.

    Args:
        summary: its numbers.
        predictions: (run folder, keys) -> key -> objects; a key is (fold, episode, variant). One
            for which nothing was found may be left out.

    Returns:
        Address of the report.
    """
    chosen = summary.best
    beside = [variant.beside.value for variant in summary.variants if variant.beside]
    return write_rendered(
        summary.outcome.out,
        template("jobs.evaluation", "evaluation.html", _FILTERS),
        summary=summary,
        random=random_sentence(summary.evaluation.get("random_weights", ())),
        dropped=wording.dropped_lines(summary.evaluation["dropped"]),
        chosen=chosen,
        known_formulas=FORMULAS,
        colours={"found": css(FOUND), "truth": css(TRUE), "example": css(EXAMPLE)},
        failed=_failures(summary),
        most_failures=_FAILURES,
        classes=_classes(summary, chosen),
        most_classes=_CLASSES,
        mark=mark,
        costs=wording.costs,
        cost_names=wording.COSTS,
        scatter=_scatter(summary),
        lines=lines(summary),
        examples=wording.examples_come(summary.evaluation),
        given=wording.given_of(summary.evaluation, _asked(summary, chosen)),
        difference=wording.difference,
        sweep_axis=axis([*_reach([v.headline for v in summary.variants]), *beside]),
        fold_axis=_fold_axis(chosen),
        **_published(chosen),
        **_episodes(summary, chosen, predictions),
    )


def _asked(summary: Summary, chosen: Variant) -> dict[str, Any]:
    """A setting as evaluation.json has it."""
    asked = summary.evaluation["variants"]
    return next(each for each in asked if each["label"] == chosen.label)


def _scatter(summary: Summary) -> Scatter | None:
    """Settings with a number and a cost."""
    points = [
        (each.label, each.cost.images_per_second, 100 * each.headline.value)
        for each in summary.variants
        if each.cost is not None and each.headline.value is not None
    ]
    return scatter(points) if points else None


def _published(chosen: Variant) -> dict[str, Any]:
    """Published numbers by formula, ours among them; and those that cannot stand beside ours."""
    known = chosen.comparisons
    groups = (
        (number, [each for each in known if each.comparable and each.formula == name])
        for name, number in chosen.numbers.items()
    )
    return {
        "groups": [_group(number, theirs) for number, theirs in groups if theirs],
        "others": [each for each in known if not each.comparable],
    }


def _group(number: Number, theirs: Sequence[Comparison]) -> dict[str, Any]:
    scale = axis([*_reach([number]), *(each.value for each in theirs)])
    own = (100 * (number.value or 0), None, mark(scale, number.value, number.interval))
    lines = [own, *((each.value, each, mark(scale, each.value / 100)) for each in theirs)]
    return {
        "formula": FORMULAS[number.formula],
        "number": number,
        "axis": scale,
        "lines": [
            {"theirs": each, "mark": at}
            for _, each, at in sorted(lines, key=lambda line: line[0], reverse=True)
        ],
    }


def _fold_axis(chosen: Variant) -> Axis:
    number, theirs = chosen.headline, chosen.beside
    shares = [
        *number.folds.values(),
        *(end for i in number.fold_intervals.values() for end in i or ()),
    ]
    ours = (100 * share for share in shares if share is not None)
    return axis([*_reach([number]), *ours, *(theirs.folds.values() if theirs else ())])


def _reach(numbers: Sequence[Number]) -> list[float]:
    """Values and ends of intervals, percent."""
    shares = [share for n in numbers for share in (n.value, *(n.interval or ()))]
    return [100 * share for share in shares if share is not None]


def _classes(summary: Summary, chosen: Variant) -> list[dict[str, Any]]:
    """The classes in the headline formula, the highest first."""
    table = summary.per_class
    here = pc.and_(
        pc.equal(table["variant"], chosen.label),
        pc.equal(table["formula"], chosen.headline.formula),
    )
    lines = table.filter(here).to_pylist()
    lines.sort(key=lambda line: (line["value"] is None, -(line["value"] or 0), line["class_name"]))
    return lines


def _episodes(summary: Summary, chosen: Variant, predictions: Predictions) -> dict[str, Any]:
    measured = judged(summary.outcome.of_variant(chosen.label))
    ious = np.array([each.iou for each in measured])
    counts = np.bincount(np.minimum(ious * BINS, BINS - 1).astype(np.int64), minlength=BINS)
    return {
        "ious": histogram(counts) if measured else [],
        "median": float(np.median(ious)) if measured else None,
        "measured": len(measured),
        "undefined": chosen.coverage.ok - len(measured),
        "galleries": _galleries(summary, chosen, measured, predictions),
    }


def _galleries(
    summary: Summary, chosen: Variant, measured: Sequence[Judged], predictions: Predictions
) -> list[Gallery]:
    of_setting = f" With {chosen.label}." if len(summary.variants) > 1 else ""
    chosen_episodes = [
        ("Worst", f"Lowest IoU, classes in turn.{of_setting}", worst(measured)),
        ("By lot", "What is usual.", by_lot(measured)),
        ("Best", "Highest IoU, classes in turn.", best(measured)),
    ]
    wanted = {each for _, _, episodes in chosen_episodes for each in episodes}
    tiles = draw_episodes(summary.outcome, chosen.label, wanted, predictions)
    return galleries(chosen_episodes, tiles.__getitem__)


def _failures(summary: Summary) -> Groups:
    results = summary.outcome.results
    failed = results.filter(pc.equal(results["status"], "failed")).sort_by("episode")
    groups = Groups()
    for row in failed.select(["error_message", "fold", "episode", "query"]).to_pylist():
        fold = f"{wording.fold_title(row['fold'])}, " if row["fold"] else ""
        groups.add(f"{fold}no. {row['episode']}: {row['query']}", row["error_message"] or "")
    return groups
