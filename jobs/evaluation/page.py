"""Puts the report of an evaluation together and writes OUT/report.html."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ipseg.metrics import FORMULAS
from ipseg.storage.files import write_whole
from jobs.evaluation import wording
from jobs.evaluation.comparison import Comparison
from jobs.evaluation.episodes import (
    EXAMPLE,
    FOUND,
    TRUE,
    EpisodeTile,
    Judged,
    Predictions,
    best,
    by_lot,
    draw_episodes,
    judged,
    worst,
)
from jobs.evaluation.plots import axis, mark
from jobs.evaluation.summary import Number, Summary, Variant
from jobs.failures import Group, Groups
from jobs.pages.charts import BINS, histogram
from jobs.pages.template import REPORT, template
from jobs.pages.views import Gallery, css

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
    failures = _failures(summary)
    page = template("jobs.evaluation", "evaluation.html", _FILTERS).render(
        e=summary.evaluation,
        gaps=summary.gaps,
        dropped=wording.dropped_lines(summary.evaluation["dropped"]),
        formula=FORMULAS[chosen.headline.formula],
        number=chosen.headline,
        counterpart=_beside(chosen),
        coverage=chosen.coverage,
        published_list=summary.published_list,
        never_drawn=[name for names in summary.never_drawn.values() for name in names],
        protocol=wording.protocol_lines(summary.evaluation["protocol"]),
        variants=summary.variants,
        chosen=chosen,
        formulas=[
            {"formula": FORMULAS[name], "number": number} for name, number in chosen.numbers.items()
        ],
        colours={"found": css(FOUND), "truth": css(TRUE), "example": css(EXAMPLE)},
        failures=failures[:_FAILURES],
        more_failures=len(failures[_FAILURES:]),
        failed=sum(group.count for group in failures),
        **_sweep(summary.variants),
        **_published(chosen),
        **_folds(chosen),
        **_classes(summary, chosen),
        **_episodes(summary, chosen, predictions),
    )
    address = f"{summary.outcome.out}/{REPORT}"
    write_whole(address, page.encode("utf-8", "replace"))
    return address


def _sweep(variants: Sequence[Variant]) -> dict[str, Any]:
    theirs = [beside.value if (beside := _beside(v)) else None for v in variants]
    scale = axis([*_reach([v.headline for v in variants]), *theirs])
    return {
        "sweep_axis": scale,
        "has_published": any(v.counterpart for v in variants),
        "sweep": [
            {
                "variant": v,
                "mark": mark(scale, v.headline.value, v.headline.interval, published),
                "difference": wording.difference(v.difference),
            }
            for v, published in zip(variants, theirs, strict=True)
        ],
    }


def _beside(variant: Variant) -> Comparison | None:
    """The published number that may stand on one axis with ours."""
    theirs = variant.counterpart
    return theirs if theirs is not None and theirs.comparable else None


def _published(chosen: Variant) -> dict[str, Any]:
    """Published numbers by formula, ours among them; and those that cannot stand beside ours."""
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for each in chosen.comparisons:
        if each.comparable:
            groups[each.formula].append(each)
    return {
        "groups": [
            _group(chosen.numbers[name], groups[name]) for name in chosen.numbers if name in groups
        ],
        "others": [each for each in chosen.comparisons if not each.comparable],
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


def _folds(chosen: Variant) -> dict[str, Any]:
    number, theirs = chosen.headline, _beside(chosen)
    published: Mapping[str, float] = theirs.folds if theirs else {}
    scale = axis(
        [
            *_reach([number]),
            *(100 * end for ends in number.fold_intervals.values() for end in ends or ()),
            *(100 * value for value in number.folds.values() if value is not None),
            *published.values(),
        ]
    )
    lines = []
    for fold, value in number.folds.items():
        ends, beside = number.fold_intervals[fold], published.get(fold)
        lines.append(
            {
                "title": wording.fold_title(fold),
                "value": value,
                "interval": ends,
                "published": beside,
                "delta": None if value is None or beside is None else 100 * value - beside,
                "coverage": chosen.fold_coverage[fold],
                "mark": mark(scale, value, ends, beside),
            }
        )
    mean = mark(scale, number.value, number.interval, theirs.value if theirs else None)
    return {"folds": lines, "fold_axis": scale, "fold_mean": mean}


def _reach(numbers: Sequence[Number]) -> list[float]:
    """Values and ends of intervals, percent."""
    shares = [share for n in numbers for share in (n.value, *(n.interval or ()))]
    return [100 * share for share in shares if share is not None]


def _classes(summary: Summary, chosen: Variant) -> dict[str, Any]:
    table = summary.per_class
    here = pc.and_(
        pc.equal(table["variant"], chosen.label),
        pc.equal(table["formula"], chosen.headline.formula),
    )
    lines = table.filter(here).to_pylist()
    lines.sort(key=lambda line: (line["value"] is None, -(line["value"] or 0), line["class_name"]))
    if len(lines) <= _CLASSES:
        return {"classes": lines, "more_classes": []}
    half = _CLASSES // 2
    return {"classes": lines[:half] + lines[-half:], "more_classes": lines[half:-half]}


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
) -> list[Gallery[EpisodeTile]]:
    of_setting = f" With {chosen.label}." if len(summary.variants) > 1 else ""
    galleries = [
        ("Worst", f"Lowest IoU, classes in turn.{of_setting}", worst(measured)),
        ("By lot", "What is usual.", by_lot(measured)),
        ("Best", "Highest IoU, classes in turn.", best(measured)),
    ]
    wanted = {each for _, _, episodes in galleries for each in episodes}
    tiles = draw_episodes(summary.outcome, chosen.label, wanted, predictions)
    return [
        Gallery(title, note, [tiles[each] for each in episodes])
        for title, note, episodes in galleries
        if episodes
    ]


def _failures(summary: Summary) -> list[Group]:
    results = summary.outcome.results
    failed = results.filter(pc.equal(results["status"], "failed")).sort_by("episode")
    groups = Groups()
    for row in failed.select(["error_message", "fold", "episode", "query"]).to_pylist():
        fold = f"{wording.fold_title(row['fold'])}, " if row["fold"] else ""
        groups.add(f"{fold}no. {row['episode']}: {row['query']}", row["error_message"] or "")
    return groups.listed()
