"""Confidence intervals over the choice of episodes: percentile bootstrap.

Source: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979); percentile interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ipseg.metrics.formulas import formula_of
from ipseg.metrics.table import by_fold, episode_counts

Interval = tuple[float, float]
Part = tuple[pa.Table, Collection[int]]  # results and ids of all classes of one fold


def interval(
    formula: str,
    results: pa.Table,
    classes: Collection[int],
    *,
    confidence: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Confidence interval of a formula over the results of one fold.

    Episodes are resampled with replacement; for DAVIS' formulas sequences are, because frames and
    objects of one sequence are not independent. The interval covers the choice of episodes, not
    that of classes or prompts. The order of rows does not matter.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS`, of one fold and one variant; only those of status "ok"
            are used.
        classes: ids of all classes of the fold.
        confidence: share of the bootstrap samples inside the interval, in (0, 1).
        samples: number of bootstrap samples.
        seed: of the resampling.

    Returns:
        Low and high end, in the formula's unit; None with fewer than two episodes (sequences).

    Raises:
        ConfigError, ValueError: as `measure`, or a value is out of range.
    """
    return ends(resampled_mean(formula, [(results, classes)], samples, seed), confidence)


def interval_over_folds(
    formula: str,
    results: pa.Table,
    classes: Mapping[str, Collection[int]],
    *,
    confidence: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Confidence interval of the mean over folds; each fold is resampled separately.

    Args:
        formula: id in `FORMULAS`.
        results: rows of schema `RESULTS` of one variant.
        classes: fold -> ids of its classes, for every fold of the mean.
        confidence: as in `interval`.
        samples: as in `interval`.
        seed: as in `interval`; every fold has its own stream.

    Returns:
        Low and high end; None if a fold has no interval.

    Raises:
        ConfigError, ValueError: as `over_folds`, or a value is out of range.
    """
    folds = parts_of(results, classes)
    return ends(resampled_mean(formula, folds, samples, seed), confidence)


def parts_of(results: pa.Table, classes: Mapping[str, Collection[int]]) -> list[Part]:
    """The results and the classes of each fold."""
    return [(part, classes[fold]) for fold, part in by_fold(results, classes).items()]


def resampled_mean(
    formula: str, folds: Sequence[Part], samples: int, seed: int
) -> npt.NDArray[np.float64] | None:
    """(samples,) means over folds of values over bootstrap samples of the episodes of each.

    None without folds, or if one has too few episodes.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    estimator = formula_of(formula).estimator
    values = []
    for position, (results, classes) in enumerate(folds):
        counts = episode_counts(formula, results, classes)
        stream = np.random.default_rng((seed, position))
        values.append(estimator.resampled(counts, len(set(classes)), samples, stream))
    measured = [each for each in values if each is not None]
    return np.mean(measured, axis=0) if measured and len(measured) == len(values) else None


def ends(values: npt.NDArray[np.float64] | None, confidence: float) -> Interval | None:
    """The percentile interval with this share of the values; None without values."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if values is None:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
