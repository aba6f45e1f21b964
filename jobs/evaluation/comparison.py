"""Published numbers beside a run's own: a difference only where formula, shot and folds agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ipseg.benchmarks.published.paper_tables import paper_table
from ipseg.benchmarks.published.published import Published, published
from jobs.evaluation.wording import given_of

_UNKNOWN = "not stated"
# How published numbers name a method, by what it is given of a prompt.
_SUFFIXES = {"mask": ("", " with ground-truth mask"), "image": ("", "-Z")}


@dataclass(frozen=True)
class Comparison:
    """A number somebody printed, over the folds of this run.

    Attributes:
        method: whose number it is.
        backbone: the networks behind it; "" where it is not recorded.
        formula: id in `ipseg.metrics.FORMULAS`.
        value: percent.
        folds: fold -> percent, as far as printed.
        source: where it was read.
        given: as in `Published`.
        note: what else a reader has to know.
        reason: why it cannot be compared with this run; "" if it can.
        delta: this run's number in the same formula minus it, percentage points; None if it cannot
            be compared or this run has no such number.
    """

    method: str
    backbone: str
    formula: str
    value: float
    source: str
    note: str
    given: str
    folds: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    delta: float | None = None

    @property
    def comparable(self) -> bool:
        """Whether it may stand on one axis with this run's number."""
        return not self.reason


def compare(
    evaluation: Mapping[str, Any], ours: Mapping[str, float | None]
) -> tuple[Comparison, ...]:
    """Every number that was published for a benchmark and shot, those that can be compared first.

    Args:
        evaluation: evaluation.json. If it has `all_folds`, the folds of the benchmark, a mean over
            all of them is not compared with a run over some.
        ours: formula -> mean over folds, in [0, 1].
    """
    listed = published(evaluation["benchmark"], evaluation["shot"])
    folds = list(evaluation["folds"])
    known = {each.fold for each in listed if each.fold} | set(evaluation.get("all_folds", ()))
    some = bool(known - set(folds))
    found = [_judged(each, folds, some, ours) for each in _means(listed)]
    return tuple(sorted(found, key=lambda each: not each.comparable))


def counterpart(
    evaluation: Mapping[str, Any],
    variant: Mapping[str, Any],
    comparisons: Sequence[Comparison],
    ours: Mapping[str, float | None],
) -> Comparison | None:
    """The published number that a setting is measured by.

    Args:
        evaluation: evaluation.json.
        variant: one of its variants.
        comparisons: of this setting.
        ours: as in `compare`.

    Returns:
        In the sweep of a paper's table, the number of the row of this label; else the first number
        of the same method in the run's own formula, if nothing but the method and the profile sets
        this setting apart. None where there is none.
    """
    if evaluation["table"] is not None:
        return _table_row(evaluation, variant["label"], ours)
    if variant["settings"]:
        return None
    given = given_of(evaluation, variant)
    name = variant.get("published_as") or variant["method"]
    names = {(name + suffix).casefold() for suffix in _SUFFIXES.get(given, ("",))}
    same = (
        each
        for name in names
        for each in comparisons
        if each.comparable
        and each.formula == evaluation["formula"]
        and each.given == given
        and each.method.casefold() in names
    )
    return next(same, None)


def _table_row(
    evaluation: Mapping[str, Any], label: str, ours: Mapping[str, float | None]
) -> Comparison | None:
    table = paper_table(evaluation["table"])
    row = next((row for row in table.rows if row.label == label), None)
    if row is None or (value := row.value(evaluation["benchmark"])) is None:
        return None
    printed = row.printed[evaluation["benchmark"]]
    by_fold = {fold: percent for fold, percent in printed.items() if fold}
    source = f"table {table.number} of the paper"
    formula = row.formula_of(evaluation["benchmark"])
    given = "mask" if row.given_mask else "image"
    theirs = Comparison(source, "", formula, value, source, row.note, given, by_fold)
    folds, first = list(evaluation["folds"]), evaluation["formula"]
    return _judged(theirs, folds, bool(by_fold.keys() - set(folds)), {first: ours[first]})


def _means(listed: Sequence[Published]) -> list[Comparison]:
    """Each mean with the folds that were printed behind it."""
    means: list[Comparison] = []
    latest: dict[tuple[str, ...], Comparison] = {}  # a mean comes before its folds
    for each in listed:
        printed = (each.method, each.backbone, each.formula, each.source, each.note)
        if each.fold:
            latest[printed].folds[each.fold] = each.value
        else:
            backbone = "" if each.backbone == _UNKNOWN else each.backbone
            latest[printed] = Comparison(
                *(each.method, backbone, each.formula, each.value),
                *(each.source, each.note, each.given),
            )
            means.append(latest[printed])
    return means


def _judged(
    theirs: Comparison, folds: Sequence[str], some: bool, ours: Mapping[str, float | None]
) -> Comparison:
    """The same with its value over the folds that were run, its difference, or why it has none."""
    if theirs.formula not in ours:
        return replace(theirs, reason=f"other formula, {theirs.formula}")
    value = theirs.value
    if some:
        if not set(folds) <= theirs.folds.keys():
            return replace(theirs, reason="other folds: only the mean over all of them is known")
        value = math.fsum(theirs.folds[fold] for fold in folds) / len(folds)
    mine = ours[theirs.formula]
    return replace(theirs, value=value, delta=None if mine is None else 100 * mine - value)
