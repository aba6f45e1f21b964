"""Measures an evaluation: each formula for each setting, and what they differ by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import astuple, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.metrics import interval, interval_over_folds, over_folds, paired_difference, per_class
from ipseg.storage.files import write_whole
from ipseg.storage.tables import write_table
from jobs.evaluation.comparison import compare, counterpart
from jobs.evaluation.costs import cost_of
from jobs.evaluation.outcome import Outcome, read_outcome
from jobs.evaluation.summary import Coverage, Interval, Number, Summary, Variant, as_data

SUMMARY = "summary.json"
PER_CLASS = "per_class.parquet"
Classes = Mapping[str, Collection[int]]  # fold -> ids


def summarise(out: str) -> Summary:
    """Measures an evaluation with every formula and writes what it finds beside it.

    Writes OUT/per_class.parquet and OUT/summary.json.

    Args:
        out: run folder, path or fsspec URL.

    Raises:
        OutputError: there is no evaluation at this place, or its files do not belong together.
    """
    outcome = read_outcome(out)
    variants = tuple(_variant(outcome, each) for each in outcome.evaluation["variants"])
    summary = Summary(outcome, variants, _per_class(outcome), _never_drawn(outcome))
    compared = tuple(_compared(outcome, each, summary.first) for each in variants)
    summary = replace(summary, variants=compared)
    write_table(f"{outcome.out}/{PER_CLASS}", summary.per_class)
    text = json.dumps(as_data(summary), indent=1, allow_nan=False)
    write_whole(f"{outcome.out}/{SUMMARY}", text.encode())
    return summary


def _variant(outcome: Outcome, asked: dict[str, Any]) -> Variant:
    results, refused = outcome.of_variant(asked["label"]), asked.get("refused", "")
    first, *others = dict.fromkeys([outcome.evaluation["formula"], *outcome.evaluation["formulas"]])
    if refused:
        nothing = dict.fromkeys(outcome.classes)
        numbers = {n: Number(n, None, None, nothing, nothing) for n in (first, *others)}
    else:
        numbers = {first: _number(first, results, outcome.classes, each_fold=True)}
        numbers |= {name: _number(name, results, outcome.classes) for name in others}
    ours = {name: number.value for name, number in numbers.items()}
    comparisons = compare(outcome.evaluation, ours)
    coverage = _coverage(outcome, results)
    return Variant(
        label=asked["label"],
        settings=tuple(asked["settings"]),
        coverage=Coverage(*map(sum, zip(*map(astuple, coverage.values()), strict=True))),
        fold_coverage=coverage,
        numbers=numbers,
        comparisons=comparisons,
        counterpart=counterpart(outcome.evaluation, asked, comparisons, ours),
        cost=cost_of(outcome.evaluation, asked),
        refused=refused,
        failure=_failure(results),
    )


def _failure(results: pa.Table) -> str:
    """The most frequent message of those that failed."""
    failed = results.filter(pc.equal(results["status"], "failed"))["error_message"].to_pylist()
    return next((str(message) for message, _ in Counter(failed).most_common(1)), "")


def _compared(outcome: Outcome, variant: Variant, first: Variant) -> Variant:
    if variant is first or variant.refused:
        return variant
    one, other = (outcome.of_variant(each.label) for each in (variant, first))
    formula = variant.headline.formula
    difference = paired_difference(formula, one, other, outcome.classes)
    return replace(variant, difference=difference)


def _number(
    formula: str, results: pa.Table, classes: Classes, *, each_fold: bool = False
) -> Number:
    values = over_folds(formula, results, classes)
    intervals: dict[str, Interval | None] = {}
    if each_fold:
        intervals = {
            fold: interval(formula, results.filter(pc.equal(results["fold"], fold)), classes[fold])
            for fold in classes
        }
    return Number(
        formula,
        values.mean,
        interval_over_folds(formula, results, classes),
        values.folds,
        intervals,
    )


def _coverage(outcome: Outcome, results: pa.Table) -> dict[str, Coverage]:
    total = Counter(outcome.episodes["fold"].to_pylist())
    by_status = Counter(
        zip(results["fold"].to_pylist(), results["status"].to_pylist(), strict=True)
    )
    return {
        fold: Coverage(total[fold], by_status[fold, "ok"], by_status[fold, "failed"])
        for fold in outcome.classes
    }


def _per_class(outcome: Outcome) -> pa.Table:
    tables = []
    for variant in outcome.evaluation["variants"]:
        results = outcome.of_variant(variant["label"])
        for formula in () if variant.get("refused") else outcome.evaluation["formulas"]:
            table = per_class(formula, results)
            for name, value in (("formula", formula), ("variant", variant["label"])):
                table = table.add_column(0, name, pa.array([value] * len(table), pa.string()))
            tables.append(table)
    return pa.concat_tables(tables)


def _never_drawn(outcome: Outcome) -> dict[str, list[str]]:
    names = (outcome.episodes[name].to_pylist() for name in ("fold", "class_id"))
    drawn = set(zip(*names, strict=True))
    return {
        fold: [name for class_id, name in classes.items() if (fold, class_id) not in drawn]
        for fold, classes in outcome.classes.items()
    }
