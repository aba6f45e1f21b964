"""Confidence interval of the difference between two settings: the paired bootstrap.

Both settings have the same episodes, so the same episodes are resampled for both: an episode that
is hard for one is usually hard for the other, so the difference varies less than either number.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 8.5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.metrics.bootstrap import Interval, ends, parts_of, resampled_mean
from ipseg.metrics.table import over_folds

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
    tables = [results.filter(pc.equal(results["status"], "ok")) for results in (one, other)]
    both = [_shared(table, rest) for table, rest in zip(tables, reversed(tables), strict=True)]
    values = [over_folds(formula, results, classes).mean for results in both]
    if values[0] is None or values[1] is None:
        return Difference(None, None, both[0].num_rows)
    ours, theirs = (
        resampled_mean(formula, parts_of(results, classes), samples, seed) for results in both
    )
    gaps = None if ours is None or theirs is None else ours - theirs
    return Difference(values[0] - values[1], ends(gaps, confidence), both[0].num_rows)


def _shared(table: pa.Table, rest: pa.Table) -> pa.Table:
    """The rows of episodes that are in both."""
    keys = table.select(_EPISODE)
    numbered = keys.append_column("place", pa.array(range(len(keys)), pa.int64()))
    kept = numbered.join(rest.select(_EPISODE), list(_EPISODE), join_type="left semi")
    return table.take(kept["place"])  # Arrow joins no columns of lists
