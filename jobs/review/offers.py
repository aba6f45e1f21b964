"""Which objects are offered next: filters and orders, over arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ipseg.objects import CONVINCING
from ipseg.scores.histogram import count_scores
from ipseg.scores.suggestion import suggestion
from jobs.review.cache import Cache
from jobs.review.index import Index
from jobs.review.rows import crop_of
from jobs.review.state import STATUSES, State
from pipeline.labels.calibration import Calibration
from pipeline.runfolder.manifest import Manifest

ORDERS = ("uncertain", "random", "highest", "lowest", "newest")
MOST = 240  # objects of one answer


@dataclass(frozen=True)
class Wanted:
    """What a person wants to see.

    Attributes:
        concept: name, "" for all.
        order: one of `ORDERS`.
        status: one of `FILTERS`.
        least: score.
        most: score.
        key: part of the key of the image; "" for all.
        side: of a split; "" for all.
        who: the person; objects in random order come in another order to everybody.
    """

    concept: str = ""
    order: str = "uncertain"
    status: str = "undecided"
    least: float = 0.0
    most: float = 1.0
    key: str = ""
    side: str = ""
    who: str = ""


class Offers:
    """Objects of a run in the order in which a person wants them.

    Args:
        index: of the run.
        state: what is decided.
        thresholds: concept -> confidence at which an object is as likely right as wrong.
    """

    def __init__(self, index: Index, state: State, thresholds: Mapping[str, float]) -> None:
        self._index = index
        self._state = state
        self._middle = np.array([thresholds.get(name, CONVINCING) for name in index.concepts])
        self._ordered = Cache(self._order, 8)
        self._named = Cache(self._with_key, 8)

    def next(self, wanted: Wanted, after: int, size: int) -> dict[str, Any]:
        """The next objects.

        Args:
            wanted: filters and order.
            after: place in the order behind which to look, 0 for the start; from an answer.
            size: most objects.

        Returns:
            `items`, the `after` to go on with, and how many are `left` behind it.
        """
        order = self._ordered(wanted.order, wanted.who if wanted.order == "random" else "")
        fits = np.flatnonzero(self.fitting(wanted)[order[after:]])
        taken = order[after:][fits[: min(size, MOST)]]
        further = int(fits[len(taken) - 1]) + 1 if len(taken) else 0
        return {
            "items": [self.item(int(number)) for number in taken],
            "after": after + further,
            "left": len(fits) - len(taken),
        }

    def middle(self, concept: int) -> float:
        """The confidence at which an object of a concept is as likely right as wrong."""
        return float(self._middle[concept])

    def fitting(self, wanted: Wanted) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which objects the filters let through."""
        index = self._index
        fits = self._state.matching(wanted.status)
        if wanted.order == "random" and wanted.status == "undecided":
            # Without those that were decided in another order, or by a rule, the rest would be no
            # fair sample.
            fits = ~self._state.drawn
        fits = fits & (index.score >= wanted.least) & (index.score <= wanted.most)
        if wanted.concept:
            fits &= index.concept == index.concepts.index(wanted.concept)
        if wanted.key:
            fits &= self._named(wanted.key)[index.image]
        if wanted.side:
            fits &= (index.side == index.sides.index(wanted.side))[index.image]
        return fits

    def item(self, number: int) -> dict[str, Any]:
        """All about an object but its mask, as JSON can hold it."""
        index, state = self._index, self._state
        image = int(index.image[number])
        verdict = state.verdict(number)
        concept = index.concepts[index.concept[number]]
        least = state.review.rules().get(concept, np.inf)
        return {
            **{"o": number, "image": image, "object": number - index.objects_of(image).start},
            **{"key": index.key(image), "concept": concept},
            **{name: int(getattr(index, name)[number]) for name in ("instance", "frame", "area")},
            "score": round(float(index.score[number]), 4),
            "confidence": round(float(index.confidence[number]), 4),
            "box": [round(float(value), 1) for value in index.box[number]],
            "crop": crop_of(index, number),
            "size": [int(value) for value in index.size[image]],
            "siblings": len(index.objects_of(image)),
            "status": STATUSES[state.status[number]],
            "rule": bool(state.status[number] == 0 and index.score[number] >= least),
            "disputed": verdict.disputed,
            "before": verdict.before,
            "label": verdict.concept,
            "reason": verdict.reason,
            "by": verdict.by,
        }

    def _order(self, order: str, who: str) -> np.ndarray[Any, np.dtype[np.intp]]:
        index = self._index
        if order == "random":
            seed = int.from_bytes(hashlib.sha256(who.encode()).digest()[:8], "big")
            return np.random.default_rng(seed).permutation(len(index))
        by = {
            "uncertain": np.abs(index.confidence - self._middle[index.concept]),
            "highest": -index.score,
            "lowest": index.score,
            "newest": -index.run[index.image],
        }
        return np.argsort(by[order], kind="stable")

    def _with_key(self, part: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        found = pc.match_substring(self._index.keys, part, ignore_case=True)
        return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def middles(index: Index) -> dict[str, float]:
    """Concept -> the confidence at which its objects are as likely right as wrong.

    From the run's calibration where it has one, else the threshold that the concept's own scores
    suggest. Concepts that have neither are left out.

    Raises:
        OutputError, OSError: the calibration cannot be read.
    """
    manifest, calibration = Manifest.read(index.out), Calibration.read(index.out)
    if manifest and calibration and calibration.fits(manifest):
        found = {name: calibration.mask.of(name).reaches(0.5) for name in index.concepts}
    else:
        found = {name: _suggested(index, number) for number, name in enumerate(index.concepts)}
    return {name: middle for name, middle in found.items() if middle is not None}


def _suggested(index: Index, concept: int) -> float | None:
    mine = index.concept == concept
    values = index.confidence[mine]
    if not len(values):
        return None
    firsts = np.flatnonzero(np.diff(index.image[mine], prepend=-1))
    counts = count_scores(values), count_scores(np.maximum.reduceat(values, firsts))
    return suggestion(*counts, len(index.keys)).threshold
