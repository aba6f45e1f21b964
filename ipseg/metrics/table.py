"""Formulas over tables of results (`ipseg.benchmarks.results.RESULTS`).

Rows of status "ok" count and no others; how many are missing is the caller's to say.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.metrics.formulas import formula_of
from ipseg.metrics.judged import Judged

PER_CLASS = pa.schema(
    [
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("episodes", pa.int64()),  # of status "ok"
        ("failed", pa.int64()),
        ("value", pa.float64()),  # null where nothing could be measured
    ]
)


@dataclass(frozen=True)
class FoldValues:
    """A formula over the folds of a benchmark.

    Attributes:
        folds: fold -> its value, None where nothing was measured.
        mean: of all folds; None if one of them has no value: a mean over the rest would be another
            number.
    """

    folds: dict[str, float | None]
    mean: float | None


def measure(formula: str, results: pa.Table, classes: Collection[int]) -> float | None:
    """A formula over the results of one fold.

    The same rows in any order, from any number of files, give the same value to the last bit.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS`, of one fold and one variant.
        classes: ids of all classes of the fold, also of those that never occur (formulas A and P
            count them as 0).

    Returns:
        The value in [0, 1] (decay: [-1, 1]); None if no row counts.

    Raises:
        ConfigError: no such formula, or it needs boundaries and the results have none.
        ValueError: rows of several folds or variants, of a class that is none of `classes`, or of
            the same episode.
    """
    estimator = formula_of(formula).estimator
    return estimator.value(judged_of(formula, results, classes), len(set(classes)))


def judged_of(formula: str, results: pa.Table, classes: Collection[int]) -> Judged:
    """What a formula needs of the results of one fold; raises as `measure` does."""
    judged = Judged.of(results, formula_of(formula).estimator.needs)
    strange = set(judged.classes.tolist()) - set(classes)
    if strange:
        raise ValueError(f"results of classes {sorted(strange)}, which this fold does not have")
    return judged


def per_class(formula: str, results: pa.Table) -> pa.Table:
    """A formula over each class by itself.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS` of one variant, of any folds.

    Returns:
        One row of schema `PER_CLASS` for each (fold, class) in the results, in that order.

    Raises:
        ConfigError, ValueError: as `measure`.
    """
    estimator = formula_of(formula).estimator
    rows = []
    for fold in sorted(pc.unique(results["fold"]).to_pylist()):
        of_fold = results.filter(pc.equal(results["fold"], fold))
        judged = Judged.of(of_fold, estimator.needs)
        found = {int(each.classes[0]): each for each in judged.each_class()}
        counts = of_fold.group_by("class_id").aggregate([("class_name", "min"), ([], "count_all")])
        for count in counts.sort_by("class_id").to_pylist():
            each = found.get(count["class_id"])
            episodes = 0 if each is None else len(each)
            rows.append(
                {
                    "fold": fold,
                    "class_id": count["class_id"],
                    "class_name": count["class_name_min"],
                    "episodes": episodes,
                    "failed": count["count_all"] - episodes,
                    "value": None if each is None else estimator.value(each, 1),
                }
            )
    return pa.Table.from_pylist(rows, PER_CLASS)


def over_folds(
    formula: str, results: pa.Table, classes: Mapping[str, Collection[int]]
) -> FoldValues:
    """A formula over each fold, and the mean of the folds, which is what papers print.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS` of one variant.
        classes: fold -> ids of its classes, for every fold that belongs to the mean.

    Raises:
        ConfigError, ValueError: as `measure`; also if a row is of none of these folds.
    """
    folds = {
        fold: measure(formula, part, classes[fold])
        for fold, part in by_fold(results, classes).items()
    }
    values = [value for value in folds.values() if value is not None]
    whole = bool(folds) and len(values) == len(folds)
    return FoldValues(folds, math.fsum(values) / len(values) if whole else None)


def by_fold(results: pa.Table, classes: Mapping[str, Collection[int]]) -> dict[str, pa.Table]:
    """The results of each of these folds, in the order of their names.

    Raises:
        ValueError: a row is of none of them.
    """
    strange = set(pc.unique(results["fold"]).to_pylist()) - set(classes)
    if strange:
        raise ValueError(f"results of folds {sorted(strange)}, which are not among {list(classes)}")
    return {fold: results.filter(pc.equal(results["fold"], fold)) for fold in sorted(classes)}
