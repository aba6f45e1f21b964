"""Whether scores have two modes, and where the valley between them is; no label is needed.

Scores are looked at as arcsin(sqrt(score)), the variance-stabilising transform of shares, which
makes the crowd at 0 and the crowd at 1 as broad as the middle. Two modes need both:

* Two normal components describe them better than one (EM on the histogram; the difference of the
  Bayesian information criterion is above 6, "strong" by Kass and Raftery, 1995). This needs
  numbers: what a few scores look like by chance is no mode.
* Between the two a kernel density (1.5 times Silverman's bandwidth for the smaller of them, so that
  chance digs no valleys) falls below half of the lower peak. This needs a shape: of a million
  scores any skew fits two components better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.scores.histogram import BINS, EDGES, Counts

LEAST = 10  # scores below which no shape is looked for
_BIC = 6.0
_SMOOTH = 1.5  # times Silverman's bandwidth
_DEPTH = 0.5  # of the valley, as a share of the lower peak
_FEWEST = 2.0  # scores of a mode
_NARROWEST = 0.01  # deviation of a component, as transformed; a bin in the middle is 0.001
_ROUNDS, _SETTLED = 200, 1e-7  # of EM: gain in log likelihood per score
_STARTS = (0.05, 0.25, 0.5, 0.75, 0.95)  # shares of the scores in the lower component
_SPREAD = 1.4826  # deviation of a normal distribution / its median absolute deviation

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Valley:
    """Two modes of scores.

    Attributes:
        low, high: centres of the modes, in [0, 1].
        at: the lowest place between them, an edge of the histogram.
    """

    low: float
    high: float
    at: float


@dataclass(frozen=True)
class _Component:
    weight: float
    mean: float
    deviation: float

    def density(self, x: Values) -> Values:
        scaled = (x - self.mean) / self.deviation
        return self.weight * np.exp(-0.5 * scaled**2) / (self.deviation * np.sqrt(2 * np.pi))


def valley(counts: Counts) -> Valley | None:
    """The two modes of a histogram; None if there are no two, or too few scores to know.

    Args:
        counts: (BINS,) of scores.
    """
    number = int(counts.sum())
    if number < LEAST:
        return None
    filled = np.flatnonzero(counts)
    x, n = _transformed((filled + 0.5) / BINS), counts[filled].astype(np.float64)
    one, _ = _fitted(x, n, np.ones((1, len(x))))
    fits = [_fitted(x, n, _split(n, share)) for share in _STARTS]
    two, components = max(fits, key=lambda fit: fit[0])
    if 2 * (two - one) - 3 * np.log(number) <= _BIC:
        return None
    lower, upper = sorted(components, key=lambda each: each.mean)
    if min(lower.weight, upper.weight) * number < _FEWEST:
        return None
    return _between(x, n, lower, upper)


def _transformed(scores: npt.ArrayLike) -> Values:
    return np.arcsin(np.sqrt(np.asarray(scores, np.float64)))


def _split(n: Values, share: float) -> Values:
    """(2, bins) that start EM: so many of the scores below, the others above."""
    below = np.cumsum(n) <= share * n.sum()
    below[0], below[-1] = True, False
    return np.stack([below, ~below]).astype(np.float64)


def _fitted(x: Values, n: Values, belongs: Values) -> tuple[float, list[_Component]]:
    """EM from (components, bins) of what belongs to which; log likelihood and components."""
    total, before = n.sum(), -np.inf
    for last in range(_ROUNDS):
        components = [_component(x, n * each, total) for each in belongs]
        densities = np.stack([each.density(x) for each in components])
        together = np.maximum(densities.sum(axis=0), np.finfo(float).tiny)
        likelihood = float((n * np.log(together)).sum())
        if likelihood - before <= _SETTLED * total or last == _ROUNDS - 1:
            break
        before, belongs = likelihood, densities / together
    return likelihood, components


def _component(x: Values, n: Values, total: float) -> _Component:
    weight = max(float(n.sum()), np.finfo(float).tiny)
    mean = float((n * x).sum() / weight)
    variance = float((n * (x - mean) ** 2).sum() / weight)
    return _Component(weight / total, mean, max(np.sqrt(variance), _NARROWEST))


def _between(x: Values, n: Values, lower: _Component, upper: _Component) -> Valley | None:
    """The valley of the kernel density between two components, if it is deep enough."""
    smaller = min(lower, upper, key=lambda each: each.weight)
    members = max(smaller.weight * n.sum(), 1.0)
    bandwidth = max(_SMOOTH * 0.9 * smaller.deviation * members**-0.2, _NARROWEST / 2)
    edges = _transformed(EDGES)
    grid = edges[np.searchsorted(edges, lower.mean) : np.searchsorted(edges, upper.mean)]
    if len(grid) < 3:
        return None
    density = (n * np.exp(-0.5 * ((grid[:, None] - x) / bandwidth) ** 2)).sum(axis=1)
    lowest = np.flatnonzero(density <= density.min() * (1 + 1e-9) + 1e-12 * density.max())
    place = int(lowest[len(lowest) // 2])
    peaks = density[: place + 1].max(), density[place:].max()
    if density[place] >= _DEPTH * min(peaks):
        return None
    first = int(np.searchsorted(edges, lower.mean))
    low, high = (float(np.sin(each.mean) ** 2) for each in (lower, upper))
    return Valley(low, high, float(EDGES[first + place]))


def median_and_end(counts: Counts) -> tuple[float, float]:
    """Middle of the scores, and where their mode ends below: three deviations, robustly.

    Args:
        counts: (BINS,) of at least one score.

    Returns:
        Median, and the end as an edge of the histogram, at least 0.
    """
    x, n = _transformed((np.arange(BINS) + 0.5) / BINS), counts.astype(np.float64)
    middle = _median(x, n)
    spread = _SPREAD * _median(np.abs(x - middle), n)
    end = np.sin(max(0.0, middle - 3 * spread)) ** 2
    return float(np.sin(middle) ** 2), float(np.floor(end * BINS) / BINS)


def _median(values: Values, n: Values) -> float:
    order = np.argsort(values, kind="stable")
    return float(values[order][np.searchsorted(np.cumsum(n[order]), n.sum() / 2)])
