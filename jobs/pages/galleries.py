"""Galleries of a page: the few rows or episodes that it has room for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Gallery:
    """Some tiles under one heading."""

    title: str
    note: str
    tiles: Sequence[Any]


def galleries(
    chosen: Iterable[tuple[str, str, Sequence[T]]], tile: Callable[[T], Any]
) -> list[Gallery]:
    """A gallery for each (title, note, items), but for those without items."""
    return [
        Gallery(title, note, [tile(each) for each in items])
        for title, note, items in chosen
        if items
    ]


def in_turn(items: Iterable[T], group: Callable[[T], Hashable]) -> list[T]:
    """The first of each group, then the second of each, and so on; else in the order given."""
    taken: Counter[Hashable] = Counter()

    def turn(item: T) -> int:
        taken[group(item)] += 1
        return taken[group(item)]

    return sorted(items, key=turn)


def chance(name: str) -> float:
    """A number in [0, 1) that looks random but belongs to the name."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
