"""Histograms of scores: all that a threshold needs to know of a million images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BINS = 1000  # equal ones over [0, 1]; a threshold is one of their edges, so that counts are exact
EDGES: npt.NDArray[np.float64] = np.arange(BINS + 1) / BINS

Counts = npt.NDArray[np.int64]


def no_scores() -> Counts:
    """(BINS,) zeros."""
    return np.zeros(BINS, np.int64)


def count_scores(scores: npt.ArrayLike) -> Counts:
    """(BINS,) counts of scores; those beyond [0, 1] go to the bin at that end, NaN to the first.

    A score is in the bin whose lower edge it reaches, compared as Python compares it.
    """
    values = np.nan_to_num(np.asarray(scores, np.float64))
    places = np.searchsorted(EDGES, values, side="right") - 1
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)


def number_from(counts: Counts, threshold: float) -> int:
    """How many scores are at least a threshold, which is one of `EDGES`."""
    return int(counts[int(np.searchsorted(EDGES[:-1], threshold)) :].sum())


def rebinned(counts: Counts, bins: int) -> Counts:
    """The same counts in fewer bins, whose number divides `BINS`."""
    return counts.reshape(bins, -1).sum(axis=1)
