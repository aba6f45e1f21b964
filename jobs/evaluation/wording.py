"""Numbers and gaps in words: the same ones in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ipseg.metrics.paired import Difference
from jobs.evaluation.costs import SettingCost
from jobs.pages.readable import NONE


def percent(value: float | None) -> str:
    """A share as papers print it: 0.4302 is 43.0."""
    return NONE if value is None else f"{100 * value:.1f}"


def span(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval of shares, in percent."""
    return NONE if interval is None else " to ".join(percent(end) for end in interval)


def points(delta: float | None) -> str:
    """A difference in percentage points, always with its sign."""
    if delta is None:
        return NONE
    return f"{delta:+.1f}".replace("-", "\N{MINUS SIGN}")


def difference(found: Difference | None) -> tuple[str, str]:
    """A difference of two settings in percentage points, and its interval."""
    if found is None or found.value is None:
        return NONE, NONE
    ends = " to ".join(points(100 * end) for end in found.interval or ())
    return points(100 * found.value), ends or NONE


_SMALL = 10_000_000  # bytes, below which two digits are printed
COSTS = ("seconds", "images/s", "encoder passes", "peak memory, MB")


def costs(cost: SettingCost | None) -> list[str]:
    """What an image costs a setting, under the headings `COSTS`."""
    if cost is None:
        return [NONE] * len(COSTS)
    return [
        f"{cost.seconds:.3g}",
        f"{cost.images_per_second:.3g}",
        f"{cost.encoded:.2f}",
        f"{cost.memory / 1e6:{',.0f' if cost.memory >= _SMALL else '.2g'}}",
    ]


_GIVEN = {
    "mask": "with their ground-truth mask",
    "image": "without a mask",
    "name": "by the name of their class alone",
}


def given_of(evaluation: Mapping[str, Any], variant: Mapping[str, Any]) -> str:
    """What a setting is given of an example: "mask", "image" or "name"."""
    mask = evaluation["protocol"]["given_mask"]
    return str(variant.get("given", "mask" if mask else "image"))


def examples_come(evaluation: Mapping[str, Any]) -> str:
    """How examples are given, and to which settings where these differ."""
    labels: dict[str, list[str]] = {}
    for each in evaluation["variants"]:
        labels.setdefault(given_of(evaluation, each), []).append(each["label"])
    if len(labels) == 1:
        return _GIVEN[next(iter(labels))]
    return "; ".join(f"{_GIVEN[given]}: {' / '.join(names)}" for given, names in labels.items())


def fold_title(fold: str) -> str:
    """A fold as a line of a table is called; a benchmark without folds has one of no name."""
    if not fold:
        return "all episodes"
    return f"fold {fold}" if fold.isdecimal() else fold


def gaps(total: int, failed: int, missing: int) -> str:
    """What keeps a result from being whole."""
    parts = []
    if failed:
        parts.append(f"{failed} of {total} episodes failed")
    if missing:
        parts.append(f"{missing} missing" if failed else f"{missing} of {total} episodes missing")
    return "PARTIAL: " + ", ".join(parts)


def dropped_lines(dropped: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was left out of the annotations, as `Dropped.listed`: a line for each reason."""
    return [
        f"left out: {each['count']:,} × {each['reason']}"
        f" ({'for example ' if each['count'] > 1 else ''}{each['example']})"
        for each in dropped
    ]
