"""Failures grouped by what went wrong, whatever names and numbers are in their messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_GROUPS = 1000  # messages beyond it are counted together: a run may fail a million ways
OTHER = "(other messages)"


@dataclass
class Group:
    """Failures of one kind.

    Attributes:
        stage: step that failed; "" where there is one.
        type: class of the exception; "" where it is not known.
        message: without the numbers and names that differ from row to row.
        first: the first message as it was.
        count: failures.
        examples: key -> whole message, of the first few.
    """

    stage: str
    type: str
    message: str
    first: str
    count: int = 0
    examples: dict[str, str] = field(default_factory=dict)


class Groups:
    """Collects failures."""

    def __init__(self, examples: int = 3) -> None:
        """Keeps so many examples of each group."""
        self._most = examples
        self._groups: dict[tuple[str, str, str], Group] = {}

    def add(self, key: str, message: str, stage: str = "", type: str = "") -> None:
        """Takes in one failure of a row, of a comparison, or of anything else with a key."""
        name = (stage, type, normalise(message))
        if name not in self._groups and len(self._groups) >= MOST_GROUPS:
            name = (stage, type, OTHER)
        group = self._groups.setdefault(name, Group(*name, first=message))
        group.count += 1
        if len(group.examples) < self._most:
            group.examples.setdefault(key, message)

    @property
    def count(self) -> int:
        """Failures of all groups together."""
        return sum(group.count for group in self._groups.values())

    def listed(self) -> list[Group]:
        """The groups, the most frequent first."""
        found = self._groups.values()
        return sorted(found, key=lambda g: (-g.count, g.stage, g.type, g.message))


def normalise(message: str) -> str:
    """A message without what differs from row to row: addresses, paths, file names, numbers."""
    for pattern, sign in _VARIABLE:
        message = pattern.sub(sign, message)
    return message


_VARIABLE = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s'\",;)]+", re.IGNORECASE), "<url>"),
    # With a folder in front: `a/b`, `/a`, `../a.jpg`; dates and fractions of numbers are not.
    (re.compile(r"(?<![\w<])(?:[\w.~@#=+-]*[A-Za-z_.~][\w.~@#=+-]*)?(?:/[\w.~@#=+-]+)+"), "<path>"),
    (
        re.compile(
            r"(?<![\w<])[\w.~@#=+-]+\.(?:jpe?g|png|tiff?|webp|bmp|gif|parquet|pq|tar|tgz)\b",
            re.IGNORECASE,
        ),
        "<file>",
    ),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)
