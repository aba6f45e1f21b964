"""What people have decided so far, for each object of a run: kept up to date, and on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jobs.review.index import Index
from jobs.review.rows import Rows
from pipeline.labels.decisions import Decision, DecisionFiles, Session
from pipeline.labels.review import Review, Verdict, scored_by

STATUSES = ("auto", "accepted", "rejected", "edited")
FILTERS = (
    *("undecided", "all", "accepted", "rejected", "edited"),
    *("relabelled", "rule", "disputed", "changed"),
)
_OTHERS_AFTER_S = 3.0  # decisions of other programs are looked for so often


class State:
    """Decisions about a run, as arrays over its objects. Threads may share it.

    Args:
        index: of the run.
        rows: of the run.

    Attributes:
        status: of each object, a number in `STATUSES`, as persons decided.
        disputed: whether persons disagree.
        changed: whether it was decided when the mask was another one.
        drawn: whether the decision that holds is of an object that was drawn by lot.
        relabelled: whether it is of another concept.
        verdicts: of objects about which there is more to say than that nobody has decided.
        review: all decisions.
    """

    def __init__(self, index: Index, rows: Rows) -> None:
        self.index = index
        self._rows = rows
        self._lock = threading.RLock()
        self._files = DecisionFiles(index.out)
        self._sessions: dict[str, Session] = {}
        self._looked = 0.0
        self.review = Review(scored_by=scored_by(index.out))
        self.verdicts: dict[int, Verdict] = {}
        self.status = np.zeros(len(index), np.int8)
        self.disputed, self.changed, self.drawn, self.relabelled = (
            np.zeros(len(index), bool) for _ in range(4)
        )
        self.refresh()

    def refresh(self) -> None:
        """Takes in what other programs have decided, unless that was done a moment ago.

        Raises:
            OutputError, OSError: a file of decisions is damaged, or cannot be read.
        """
        with self._lock:
            now = time.monotonic()
            if self._looked and now < self._looked + _OTHERS_AFTER_S:
                return
            self._looked = now
            self._take_in(self._files.changed())

    def add(self, who: str, decisions: Sequence[Decision]) -> None:
        """Stores decisions of one person; they are on disk when it returns.

        Those whose id is known are there already.

        Raises:
            OSError: they cannot be written; nothing has changed then.
        """
        with self._lock:
            new = {each.id: each for each in decisions if self.review.find(each.id) is None}
            if new:
                if who not in self._sessions:
                    self._sessions[who] = Session(self.index.out, who)
                self._take_in(self._sessions[who].add(list(new.values())))

    def by_rule(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which objects a rule accepts, that no person has decided about."""
        least = np.full(len(self.index.concepts), np.inf)
        for concept, score in self.review.rules().items():
            if concept in self.index.concepts:
                least[self.index.concepts.index(concept)] = score
        return (self.status == 0) & (self.index.score >= least[self.index.concept])

    def matching(self, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which objects one of `FILTERS` lets through."""
        if name == "all":
            return np.ones(len(self.index), bool)
        if name == "undecided":
            return (self.status == 0) & ~self.by_rule()
        if name == "rule":
            return self.by_rule()
        if name in STATUSES:
            return self.status == STATUSES.index(name)
        flags = {name: getattr(self, name) for name in ("relabelled", "disputed", "changed")}
        return flags[name]

    def verdict(self, number: int) -> Verdict:
        """What persons have decided about an object."""
        return self.verdicts.get(number, Verdict())

    def counts(self) -> list[dict[str, int]]:
        """For each concept: objects, and how many are decided, accepted, rejected, by a rule."""
        size, concept = len(self.index.concepts), self.index.concept
        rule = self.by_rule()
        sums = {
            "objects": np.bincount(concept, minlength=size),
            "decided": np.bincount(concept[(self.status != 0) | rule], minlength=size),
            "accepted": np.bincount(concept[(self.status % 2 == 1)], minlength=size),
            "rejected": np.bincount(concept[self.status == 2], minlength=size),
            "rule": np.bincount(concept[rule], minlength=size),
        }
        return [{name: int(each[n]) for name, each in sums.items()} for n in range(size)]

    def _take_in(self, decisions: Iterable[Decision]) -> None:
        touched = self.review.add(decisions)
        for key in dict.fromkeys(each.key for each in touched if each.key):
            image = self.index.find(key)
            if image is not None:
                self._fold(image, key)

    def _fold(self, image: int, key: str) -> None:
        for number, found in zip(
            self.index.objects_of(image), self._rows.objects(image), strict=True
        ):
            verdict = self.review.verdict(key, found)
            by_person = verdict.by is not None
            self.status[number] = STATUSES.index(verdict.status) if by_person else 0
            self.disputed[number] = verdict.disputed
            self.changed[number] = verdict.before is not None
            self.drawn[number] = (verdict.sampled or {}).get("how") == "random"
            self.relabelled[number] = verdict.concept is not None
            if by_person or verdict.before is not None:
                self.verdicts[number] = verdict
            else:
                self.verdicts.pop(number, None)
