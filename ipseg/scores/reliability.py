"""Whether probabilities come true: reliability diagram, calibration error, Brier score.

The expected calibration error (ECE) of a perfect probability is not 0: with 100 labels in 10 bins
it is 0.1. So it is given with its noise floor, drawn from the probabilities themselves.
Source of bins of equal mass: Roelofs et al., "Mitigating bias in calibration error estimation"
(2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10
_DRAWS, _AT_ONCE = 1000, 50
_NEAR = 1e-6  # of 0 and 1, for the log loss

Values = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Point:
    """One bin of a reliability diagram.

    Attributes:
        predicted: mean probability.
        observed: share that came true.
        low, high: 95 % Wilson interval of the share.
        count: labels.
    """

    predicted: float
    observed: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Reliability:
    """How far probabilities came true.

    Attributes:
        labels: how many.
        positive: of them that came true.
        ece: expected calibration error over at most 10 bins of equal mass.
        floor: what it is on average if every probability is exactly right.
        floor_high: what it stays below in 95 of 100 such cases.
        brier: mean squared difference.
        calibration, refinement: the parts of the Brier score: by bins, how far they are off, and
            what would be left if they were not.
        log_loss: mean.
        points: the diagram.
    """

    labels: int
    positive: int
    ece: float
    floor: float
    floor_high: float
    brier: float
    calibration: float
    refinement: float
    log_loss: float
    points: tuple[Point, ...]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def reliability(probability: Values, outcomes: Outcomes, seed: int = 0) -> Reliability:
    """Compares (n,) probabilities, at least one, with what was true."""
    from scipy.stats import binomtest

    order = np.argsort(probability, kind="stable")
    p, y = probability[order], outcomes[order].astype(np.float64)
    # Not finer than the labels allow: bins of one label would make any probability look wrong.
    bounds = np.linspace(0, len(p), min(BINS, len(p)) + 1).round().astype(int)
    sizes = np.diff(bounds)
    predicted, observed = (np.add.reduceat(v, bounds[:-1]) / sizes for v in (p, y))
    points = []
    for at, share, size in zip(predicted, observed, sizes, strict=True):
        test = binomtest(round(share * size), int(size)).proportion_ci(0.95, "wilson")
        points.append(Point(float(at), float(share), float(test.low), float(test.high), int(size)))
    weights = sizes / len(p)
    errors = _drawn_errors(p, bounds, seed)
    inside = np.clip(p, _NEAR, 1 - _NEAR)
    brier = float(np.mean((p - y) ** 2))
    calibration = float(weights @ (predicted - observed) ** 2)
    return Reliability(
        labels=len(p),
        positive=int(y.sum()),
        ece=float(weights @ np.abs(predicted - observed)),
        floor=float(errors.mean()),
        floor_high=float(np.quantile(errors, 0.95)),
        brier=brier,
        calibration=calibration,
        refinement=brier - calibration,
        log_loss=float(-np.mean(np.log(np.where(y > 0, inside, 1 - inside)))),
        points=tuple(points),
    )


def _drawn_errors(p: Values, bounds: npt.NDArray[np.int64], seed: int) -> Values:
    """(1000,) ECE of outcomes that are drawn from the probabilities."""
    random = np.random.default_rng(seed)
    errors = []
    for _ in range(0, _DRAWS, _AT_ONCE):  # in blocks, for memory
        drawn = random.random((_AT_ONCE, len(p))) < p
        differences = np.add.reduceat(p - drawn, bounds[:-1], axis=1)
        errors.append(np.abs(differences).sum(axis=1) / len(p))
    return np.concatenate(errors)
