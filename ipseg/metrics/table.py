"""Formulas over tables of results (`ipseg.benchmarks.results.RESULTS`).

Only rows of status "ok" are used; callers report how many others there are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.metrics.episode_counts import EpisodeCounts
from ipseg.metrics.formulas import formula_of

PER_CLASS = pa.schema(
    [
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("episodes", pa.int64()),  # of status "ok"
        ("failed", pa.int64()),
        ("value", pa.float64()),  # null if nothing could be measured
    ]
)


@dataclass(frozen=True)
class FoldValues:
    """A formula over the folds of a benchmark.

    Attributes:
        folds: fold -> its value; None if nothing was measured.
        mean: of all folds; None if one of them has no value, because a mean over the rest cannot be
            compared.
    """

    folds: dict[str, float | None]
    mean: float | None


def measure(formula: str, results: pa.Table, classes: Collection[int]) -> float | None:
    """A formula over the results of one fold.

    The same rows in any order, from any number of files, give the same value to the last bit.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS`, of one fold and one variant.
        classes: ids of all classes of the fold, including those that never occur (formulas A and P
            count them as 0).

    Returns:
        The value in [0, 1] (decay: [-1, 1]); None without a row of status "ok".

    Raises:
        ConfigError: unknown formula, or it needs boundaries and the results have none.
        ValueError: there are several folds or variants, a class that is not in `classes`, or an
            episode twice.
    """
    estimator = formula_of(formula).estimator
    return estimator.value(episode_counts(formula, results, classes), len(set(classes)))


def episode_counts(formula: str, results: pa.Table, classes: Collection[int]) -> EpisodeCounts:
    """The counts that a formula needs from the results of one fold; raises like `measure`."""
    counts = EpisodeCounts.of(results, formula_of(formula).estimator.needs)
    unknown = set(counts.classes.tolist()) - set(classes)
    if unknown:
        raise ValueError(f"results of classes {sorted(unknown)}, which this fold does not have")
    return counts


def per_class(formula: str, results: pa.Table) -> pa.Table:
    """A formula over each class separately.

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
        counts = EpisodeCounts.of(of_fold, estimator.needs)
        found = {int(each.classes[0]): each for each in counts.each_class()}
        classes = of_fold.group_by("class_id").aggregate([("class_name", "min"), ([], "count_all")])
        for each_class in classes.sort_by("class_id").to_pylist():
            each = found.get(each_class["class_id"])
            episodes = 0 if each is None else len(each)
            rows.append(
                {
                    "fold": fold,
                    "class_id": each_class["class_id"],
                    "class_name": each_class["class_name_min"],
                    "episodes": episodes,
                    "failed": each_class["count_all"] - episodes,
                    "value": None if each is None else estimator.value(each, 1),
                }
            )
    return pa.Table.from_pylist(rows, PER_CLASS)


def over_folds(
    formula: str, results: pa.Table, classes: Mapping[str, Collection[int]]
) -> FoldValues:
    """A formula over each fold, and the mean over folds, which papers print.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS` of one variant.
        classes: fold -> ids of its classes, for every fold of the mean.

    Raises:
        ConfigError, ValueError: as `measure`, or a row is of another fold.
    """
    folds = {
        fold: measure(formula, part, classes[fold])
        for fold, part in by_fold(results, classes).items()
    }
    values = [value for value in folds.values() if value is not None]
    whole = bool(folds) and len(values) == len(folds)
    return FoldValues(folds, math.fsum(values) / len(values) if whole else None)


def by_fold(results: pa.Table, classes: Mapping[str, Collection[int]]) -> dict[str, pa.Table]:
    """The results of each of these folds, sorted by name.

    Raises:
        ValueError: a row is of another fold.
    """
    unknown = set(pc.unique(results["fold"]).to_pylist()) - set(classes)
    if unknown:
        raise ValueError(f"results of folds {sorted(unknown)}, which are not among {list(classes)}")
    return {fold: results.filter(pc.equal(results["fold"], fold)) for fold in sorted(classes)}
