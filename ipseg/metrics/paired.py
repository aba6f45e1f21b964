"""How far the difference of two settings would move by chance: the paired bootstrap.

Both settings answer the same episodes, so the same episodes are drawn for both: what is hard for
one is mostly hard for the other, and their difference varies less than either.

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
    """One setting's number minus another's.

    Attributes:
        value: mean over the folds, over the episodes that both have measured; None without any.
        interval: its bootstrap interval; None where it cannot be computed.
        episodes: that both have measured.
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
        other: results of the setting that it is compared with.
        classes: fold -> ids of its classes, for every fold that belongs to the mean.
        confidence: share of the bootstrap samples inside the interval, in (0, 1).
        samples: bootstrap samples, each of as many episodes as there are, with replacement.
        seed: of the draws, the same for both settings.

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
        drawn = [
            bootstrap_samples(formula, part[fold], classes[fold], samples, (seed, position))
            for part in parts
        ]
        if drawn[0] is None or drawn[1] is None:
            return Difference(values[0] - values[1], None, one.num_rows)
        total += drawn[0] - drawn[1]
    return Difference(values[0] - values[1], ends(total / len(classes), confidence), one.num_rows)


def _measured_by_both(one: pa.Table, other: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The results of both for those episodes that both have measured."""
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
