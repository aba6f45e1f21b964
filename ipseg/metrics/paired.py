"""Confidence interval of the difference between two settings: the paired bootstrap.

Both settings have the same episodes, so the same episodes are resampled for both: an episode that
is hard for one is usually hard for the other, so the difference varies less than either number.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 8.5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.metrics.bootstrap import Interval, bootstrap_samples, ends
from ipseg.metrics.table import by_fold, over_folds

_EPISODE = ("fold", "episode", "class_id")


@dataclass(frozen=True)
class Difference:
    """The number of one setting minus that of another.

    Attributes:
        value: mean over folds, over the episodes that both have measured; None without any.
        interval: its bootstrap interval; None if it cannot be computed.
        episodes: number of episodes that both have measured.
    """

    value: float | None
    interval: Interval | None
    episodes: int


def paired_difference(
    formula: str,
    one: pa.Table,
    other: pa.Table,
    classes: Mapping[str, Collection[int]],
    *,
    confidence: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Difference:
    """`one` minus `other`, each a table of schema `RESULTS` of one variant.

    Args:
        formula: id in `FORMULAS`.
        one: results of a setting.
        other: results of the setting to compare with.
        classes: fold -> ids of its classes, for every fold of the mean.
        confidence: share of the bootstrap samples inside the interval, in (0, 1).
        samples: number of bootstrap samples.
        seed: of the resampling, the same for both settings.

    Raises:
        ConfigError, ValueError: as `interval_over_folds`.
    """
    one, other = _measured_by_both(one, other)
    values = [over_folds(formula, results, classes).mean for results in (one, other)]
    if values[0] is None or values[1] is None:
        return Difference(None, None, one.num_rows)
    total = np.zeros(samples)
    parts = by_fold(one, classes), by_fold(other, classes)
    for position, fold in enumerate(classes):
        resampled = [
            bootstrap_samples(formula, part[fold], classes[fold], samples, (seed, position))
            for part in parts
        ]
        if resampled[0] is None or resampled[1] is None:
            return Difference(values[0] - values[1], None, one.num_rows)
        total += resampled[0] - resampled[1]
    return Difference(values[0] - values[1], ends(total / len(classes), confidence), one.num_rows)


def _measured_by_both(one: pa.Table, other: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The results of both for the episodes that both have measured."""
    tables = [results.filter(pc.equal(results["status"], "ok")) for results in (one, other)]
    keys = [
        list(zip(*(results[name].to_pylist() for name in _EPISODE), strict=True))
        for results in tables
    ]
    both = set(keys[0]) & set(keys[1])
    first, second = (
        results.filter(pa.array([key in both for key in of], pa.bool_()))
        for results, of in zip(tables, keys, strict=True)
    )
    return first, second
