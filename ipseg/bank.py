"""The bank: what is kept of each concept, read by those who look for it.

An entry may be a few vectors or megabytes of reference features, and a run may have thousands. So
steps hold a bank, not its entries: they ask it for those that a row names, and the features of an
entry are read when they are used (`Entry.features`).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipseg.errors import PromptError
from ipseg.prompt_sheet import prompt_sheet
from ipseg.rows import Arrays, Row


@dataclass(frozen=True)
class Entry:
    """One concept to look for.

    Attributes:
        concept: its name in the bank.
        category_id: from 1 in the order of names; 0 is background.
        bank: that it belongs to.
    """

    concept: str
    category_id: int
    bank: Bank = field(repr=False, compare=False)

    @property
    def features(self) -> Arrays:
        """What the method keeps of it, merged over its prompts: array name -> array."""
        return self.bank.features(self.concept)


class Bank(ABC):
    """All concepts of a run in order of their names."""

    @property
    @abstractmethod
    def identity(self) -> tuple[str, ...]:
        """Equal for banks whose entries of the same name have the same features."""

    @property
    @abstractmethod
    def categories(self) -> Mapping[str, int]:
        """Concept -> category id, in order."""

    @abstractmethod
    def features(self, concept: str) -> Arrays:
        """Features of a concept, merged over its prompts."""

    @abstractmethod
    def failure(self, concept: str) -> str | None:
        """Why a concept cannot be looked for (a prompt of it failed), None if it can."""

    def asked(self, row: Row) -> list[Entry]:
        """The entries that a row asks for, each once, in its order; all if it names none.

        Those that cannot be used are left out; `failure` says why.

        Raises:
            PromptError: the bank has no such entry.
        """
        asks = row.get("asks")
        names = self.categories if asks is None else dict.fromkeys(a["concept"] for a in asks)
        unknown = next((name for name in names if name not in self.categories), None)
        if unknown is not None:
            raise PromptError(f"the bank has no entry '{unknown}'")
        usable = (name for name in names if self.failure(name) is None)
        return [Entry(name, self.categories[name], self) for name in usable]


class PromptsInMemory(Bank):
    """A bank of a few prompts, described in this process."""

    def __init__(
        self,
        rows: Sequence[Row],
        merge: Callable[[Sequence[Arrays]], Arrays],
        chain: str = "",
        settings: object = None,
    ) -> None:
        """Takes rows that came out of a prompt chain.

        Args:
            rows: of prompts.
            merge: features of a concept's prompts -> those of the concept.
            chain: whose features it gives.
            settings: that the rows depend on, for those who compare banks; None if not known.

        Raises:
            PromptError: a prompt failed; names it and the reason.
        """
        shots: dict[str, list[Arrays]] = {}
        for row in sorted(rows, key=lambda row: str(row["key"])):
            if row.get("error_message"):
                raise PromptError(f"prompt {row['uri']} cannot be used: {row['error_message']}")
            (prompt,) = (p for p in row["prompts"] if p["chain"] == chain)
            shots.setdefault(row["concept"], []).append(prompt["features"])
        self._features = {name: merge(shots[name]) for name in sorted(shots)}
        self.settings = settings
        self._prompts = [
            {"concept": row["concept"], "key": row["key"], "thumbnail": row.get("thumbnail")}
            | {"prompts": [p | {"features": None} for p in row["prompts"] if p["chain"] == chain]}
            for row in rows
        ]

    def __repr__(self) -> str:
        """The concepts."""
        return f"<Bank of {len(self._features)}: {', '.join(self._features)}>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook displays: the prompts, and what was taken for the object of each."""
        return prompt_sheet(self._prompts)

    @property
    def identity(self) -> tuple[str, ...]:
        """This very object."""
        return (str(id(self)),)

    @property
    def categories(self) -> Mapping[str, int]:
        """See `Bank.categories`."""
        return {name: number for number, name in enumerate(self._features, start=1)}

    def features(self, concept: str) -> Arrays:
        """See `Bank.features`."""
        return self._features[concept]

    def failure(self, concept: str) -> str | None:
        """None: a failed prompt is refused from the start."""
        del concept
        return None


class RecentlyUsed:
    """Arrays by key, those used last; the least recently used go when they take too much memory.

    Several threads may use it. Where they read the same item at the same time, one is kept.
    """

    def __init__(self, limit: int) -> None:
        """Holds at most `limit` bytes, or a single item that is larger."""
        self.limit, self.held = limit, 0
        self._items: OrderedDict[Any, tuple[Arrays, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, read: Callable[[], Arrays]) -> Arrays:
        """The item of a key; read, and remembered, if it is not held."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key][0]
        arrays = read()
        size = sum(array.nbytes for array in arrays.values())
        with self._lock:
            if key in self._items:
                return self._items[key][0]
            self._items[key] = (arrays, size)
            self.held += size
            while self.held > self.limit and len(self._items) > 1:
                self.held -= self._items.popitem(last=False)[1][1]
        return arrays
