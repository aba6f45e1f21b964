"""Confidence intervals over the choice of episodes: percentile bootstrap.

Source: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979); percentile interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ipseg.metrics.formulas import formula_of
from ipseg.metrics.table import by_fold, episode_counts

Interval = tuple[float, float]


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
    _check(confidence, samples)
    return ends(bootstrap_samples(formula, results, classes, samples, (seed, 0)), confidence)


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
    _check(confidence, samples)
    total = np.zeros(samples)
    for position, (fold, part) in enumerate(by_fold(results, classes).items()):
        resampled = bootstrap_samples(formula, part, classes[fold], samples, (seed, position))
        if resampled is None:
            return None
        total += resampled
    return ends(total / len(classes), confidence) if classes else None


def bootstrap_samples(
    formula: str,
    results: pa.Table,
    classes: Collection[int],
    samples: int,
    seed: tuple[int, int],
) -> npt.NDArray[np.float64] | None:
    """(samples,) values of a formula over bootstrap samples of the episodes."""
    counts = episode_counts(formula, results, classes)
    return formula_of(formula).estimator.resampled(
        counts, len(set(classes)), samples, np.random.default_rng(seed)
    )


def _check(confidence: float, samples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")


def ends(values: npt.NDArray[np.float64] | None, confidence: float) -> Interval | None:
    """The percentile interval with this share of the values; None without values."""
    if values is None:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
