"""An evaluation in numbers: each formula for each setting, and what part of the list it covers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from ipseg.metrics.paired import Difference
from jobs.evaluation.comparison import Comparison
from jobs.evaluation.costs import SettingCost
from jobs.evaluation.outcome import Outcome
from jobs.evaluation.wording import gaps

Interval = tuple[float, float]


@dataclass(frozen=True)
class Coverage:
    """How many episodes of a list a number is computed from.

    Attributes:
        total: episodes in the list.
        ok: of these, measured.
        failed: tried, and failed.
    """

    total: int
    ok: int
    failed: int

    @property
    def missing(self) -> int:
        """Episodes without a result."""
        return self.total - self.ok - self.failed

    @property
    def partial(self) -> bool:
        """Whether it is computed from less than the list."""
        return self.ok < self.total

    @property
    def sentence(self) -> str:
        """What is lacking, in words; empty where nothing is."""
        return gaps(self.total, self.failed, self.missing) if self.partial else ""


@dataclass(frozen=True)
class Number:
    """One formula.

    Attributes:
        formula: id in `ipseg.metrics.FORMULAS`.
        value: mean over the folds, in [0, 1]; None where a fold has no value.
        interval: its 95 % bootstrap interval over episodes; None where it cannot be computed.
        folds: fold -> value.
        fold_intervals: fold -> interval, of the first formula only.
    """

    formula: str
    value: float | None
    interval: Interval | None
    folds: dict[str, float | None]
    fold_intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class Variant:
    """One setting of a sweep, or the only one.

    Attributes:
        label: as in the results; "" for a run with one setting.
        settings: "section.key=value", what differs from the profile.
        coverage: of all folds together.
        fold_coverage: fold -> coverage.
        numbers: formula -> number, the protocol's formula first.
        comparisons: published numbers, those that can be compared first.
        counterpart: the number it is measured by, of the same method or row of a table, if any.
        difference: to the first variant that is run, in the headline formula; None for itself.
        cost: of an image; None if nothing is compared, or it was not measured.
        refused: why it is not run; "" if it is.
        failure: the most frequent reason of episodes that failed; "" where none has.
    """

    label: str
    settings: tuple[str, ...]
    coverage: Coverage
    fold_coverage: dict[str, Coverage]
    numbers: dict[str, Number]
    comparisons: tuple[Comparison, ...]
    counterpart: Comparison | None
    difference: Difference | None = None
    cost: SettingCost | None = None
    refused: str = ""
    failure: str = ""

    @property
    def gap(self) -> tuple[str, str]:
        """What its numbers lack, and why as far as it is known; in words, empty for nothing."""
        return ("NOT RUN", self.refused) if self.refused else (self.coverage.sentence, self.failure)

    @property
    def lacks(self) -> str:
        """The same in one sentence."""
        return ": ".join(filter(None, self.gap))

    @property
    def headline(self) -> Number:
        """The number in the protocol's formula."""
        return next(iter(self.numbers.values()))

    @property
    def beside(self) -> Comparison | None:
        """The counterpart, if it may stand on one axis with the headline."""
        return self.counterpart if self.counterpart and self.counterpart.comparable else None


@dataclass(frozen=True)
class Summary:
    """All numbers of an evaluation.

    Attributes:
        outcome: what they were made from.
        variants: in the order they were asked for.
        per_class: schema of `ipseg.metrics.per_class` behind the columns variant and formula.
        never_drawn: fold -> names of classes that no episode asks for; 0 in formulas A and P.
    """

    outcome: Outcome
    variants: tuple[Variant, ...]
    per_class: pa.Table
    never_drawn: dict[str, list[str]]

    @property
    def evaluation(self) -> dict[str, Any]:
        """What was asked and how."""
        return self.outcome.evaluation

    @property
    def partial(self) -> bool:
        """Whether an episode of any setting failed or is missing."""
        return any(variant.coverage.partial for variant in self.variants)

    @property
    def gaps(self) -> list[str]:
        """What is lacking, each sentence once: in a sweep most settings lack the same."""
        if len(self.variants) == 1:
            return [self.variants[0].lacks] if self.variants[0].lacks else []
        labels: dict[tuple[str, str], list[str]] = defaultdict(list)
        for variant in self.variants:
            if variant.lacks:
                labels[variant.gap].append(variant.label)
        found = []
        for (what, why), of in labels.items():
            settings = "every setting" if len(of) == len(self.variants) else "; ".join(of)
            found.append(": ".join(filter(None, [f"{what}, with {settings}", why])))
        return found

    @property
    def first(self) -> Variant:
        """What the others are compared with: the first that is run."""
        return next(variant for variant in self.variants if not variant.refused)

    @property
    def best(self) -> Variant:
        """The setting with the highest number; those that cover the whole list come first."""
        return max(
            self.variants,
            key=lambda v: (not v.coverage.partial, _or_low(v.headline.value)),
        )

    @property
    def published_list(self) -> bool | None:
        """Whether the episodes are those that papers used; None where no list is known."""
        known = {fold["published_list"] for fold in self.evaluation["folds"].values()}
        return None if None in known or not known else known == {True}


def as_data(summary: Summary) -> dict[str, Any]:
    """The same as plain data; values are shares in [0, 1], published values percent."""
    kept = ("benchmark", "method", "profile", "shot", "seed", "rule", "formula", "protocol")
    return {
        **{name: summary.evaluation[name] for name in (*kept, "table", "config_sha256")},
        "partial": summary.partial,
        "published_list": summary.published_list,
        "never_drawn": summary.never_drawn,
        "dropped": summary.evaluation["dropped"],
        "variants": [
            {
                "label": variant.label,
                "settings": list(variant.settings),
                "refused": variant.refused,
                "coverage": _counts(variant.coverage),
                "folds": {fold: _counts(each) for fold, each in variant.fold_coverage.items()},
                "numbers": {name: asdict(number) for name, number in variant.numbers.items()},
                "comparisons": [asdict(each) for each in variant.comparisons],
                "counterpart": variant.counterpart and asdict(variant.counterpart),
                "difference": variant.difference and asdict(variant.difference),
            }
            for variant in summary.variants
        ],
    }


def _counts(coverage: Coverage) -> dict[str, Any]:
    return {**asdict(coverage), "missing": coverage.missing, "partial": coverage.partial}


def _or_low(value: float | None) -> float:
    return float("-inf") if value is None else value
