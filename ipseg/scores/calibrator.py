"""From a confidence to a probability: fitted on labels, kept as a few numbers.

Sources: Platt, "Probabilistic outputs for support vector machines" (1999), with his targets, which
keep a separable sample finite; Zadrozny and Elkan, "Transforming classifier scores into accurate
multiclass probability estimates" (2002), isotonic regression; Niculescu-Mizil and Caruana,
"Predicting good probabilities with supervised learning" (2005), which of them when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ipseg.errors import ConfigError
from ipseg.scores.histogram import EDGES

LEAST, LEAST_EACH = 50, 10  # labels, and labels of either outcome, that a fit needs
ISOTONIC_FROM = 500  # labels, from which isotonic regression is tried
FOLDS = 5
_NEAR = 1e-3  # of 0 and 1, where the logit ends

Values = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Calibrator:
    """A growing function from confidence to probability, both in [0, 1].

    Attributes:
        kind: "logistic" of the logit of the confidence, or "isotonic".
        slope, intercept: of the logistic one.
        knots: (x, y) of the isotonic one, growing; linear between, constant beyond.
        labels: that it was fitted on.
    """

    kind: Literal["logistic", "isotonic"]
    slope: float = 0.0
    intercept: float = 0.0
    knots: Sequence[tuple[float, float]] = ()
    labels: int = 0

    def __call__(self, confidence: npt.ArrayLike) -> Values:
        """Probabilities of an array of any shape."""
        values = np.asarray(confidence, np.float64)
        if self.kind == "logistic":
            return np.asarray(1 / (1 + np.exp(-(self.slope * _logit(values) + self.intercept))))
        x, y = np.array(self.knots, np.float64).T
        return np.asarray(np.interp(values, x, y))

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Calibrator:
        """The inverse of `record`."""
        knots = tuple((float(x), float(y)) for x, y in record["knots"])
        return Calibrator(**{**record, "knots": knots})

    def reaches(self, probability: float) -> float | None:
        """The least confidence with this probability, a multiple of 0.001; None where none has."""
        there = np.flatnonzero(self(EDGES) >= probability)
        return float(EDGES[there[0]]) if len(there) else None


def check(confidence: Values, outcomes: Outcomes) -> None:
    """Refuses labels that nothing can be fitted on.

    Args:
        confidence: (n,) in [0, 1].
        outcomes: (n,) what was true.

    Raises:
        ConfigError: there are too few of them, or a higher confidence does not go with the outcome.
    """
    positive, n = int(outcomes.sum()), len(outcomes)
    if n < LEAST or min(positive, n - positive) < LEAST_EACH:
        raise ConfigError(
            f"{n} labels, {positive} of them positive, are too few to calibrate on: it takes "
            f"{LEAST}, and {LEAST_EACH} of either outcome"
        )
    if _logistic(confidence, outcomes).slope <= 0:
        raise ConfigError("higher scores do not go with better outcomes: nothing to calibrate on")


def fit(confidence: Values, outcomes: Outcomes, groups: Sequence[str]) -> Calibrator:
    """The calibrator that labels suggest; `check` says whether they should.

    Logistic below 500 labels; above, isotonic where it has the smaller log loss, cross-validated
    with folds of whole images.

    Args:
        confidence: (n,) in [0, 1].
        outcomes: (n,) what was true.
        groups: (n,) image of each; labels of one image are not independent.

    Raises:
        ConfigError: all labels are of one image.
    """
    logistic = _logistic(confidence, outcomes)
    if len(outcomes) < ISOTONIC_FROM:
        return logistic
    losses = {}
    for kind in (_logistic, _isotonic):
        held_out = np.concatenate(
            [
                _losses(kind(confidence[train], outcomes[train])(confidence[test]), outcomes[test])
                for train, test in folds(groups)
            ]
        )
        losses[kind] = float(held_out.mean())
    return logistic if losses[_logistic] <= losses[_isotonic] else _isotonic(confidence, outcomes)


def folds(groups: Sequence[str]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Places of training and test labels in each of at most 5 folds of whole images.

    Raises:
        ConfigError: all labels are of one image.
    """
    from sklearn.model_selection import GroupKFold

    number = len(set(groups))
    if number < 2:
        raise ConfigError("labels of one image alone say nothing about others")
    places = np.zeros(len(groups))
    return list(GroupKFold(min(FOLDS, number)).split(places, groups=list(groups)))


def _logit(confidence: Values) -> Values:
    inside = np.clip(confidence, _NEAR, 1 - _NEAR)
    return np.asarray(np.log(inside / (1 - inside)))


def _logistic(confidence: Values, outcomes: Outcomes) -> Calibrator:
    from sklearn.linear_model import LogisticRegression

    positive = int(outcomes.sum())
    negative = len(outcomes) - positive
    target = np.where(outcomes, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x = np.tile(_logit(confidence), 2)[:, None]  # each label once with either outcome
    y = np.repeat([True, False], len(outcomes))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(x, y, sample_weight=np.concatenate([target, 1 - target]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Calibrator("logistic", slope, intercept, labels=len(outcomes))


def _isotonic(confidence: Values, outcomes: Outcomes) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    model.fit(confidence, outcomes.astype(np.float64))
    knots = zip(model.X_thresholds_.tolist(), model.y_thresholds_.tolist(), strict=True)
    return Calibrator("isotonic", knots=tuple(knots), labels=len(outcomes))


def _losses(probability: Values, outcomes: Outcomes) -> Values:
    inside = np.clip(probability, _NEAR, 1 - _NEAR)  # isotonic says 0 and 1 of what it has not seen
    return np.asarray(-np.log(np.where(outcomes, inside, 1 - inside)))
