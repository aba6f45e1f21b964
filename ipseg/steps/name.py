"""The name of a concept as what is kept of it, for methods that read it.

An entry of the bank can have a name of its own (in an evaluation it stands for an episode's
supports), so what a prompt is an example of goes into its features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipseg.bank import Entry
from ipseg.rows import Arrays, Row, Step

NAME = "name"  # of the prompt feature


@dataclass
class DescribeName(Step):
    """Keeps the name of what a prompt is an example of, beside its features if it has any."""

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("concept",)
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)
    uses: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `name` to `prompt_features`, as UTF-8."""
        return [
            {**row, "prompt_features": {**row.get("prompt_features", {}), **kept_name(row)}}
            for row in rows
        ]


def kept_name(row: Row) -> Arrays:
    """The name of a prompt's concept as an array of bytes."""
    return {NAME: np.frombuffer(str(row["concept"]).encode(), np.uint8)}


def words_for(entry: Entry, names: Mapping[str, str], label: str = "") -> str:
    """What a network is asked for.

    Args:
        entry: of the bank.
        names: name of a concept -> words.
        label: words for others; "" takes their name, with spaces for underscores.
    """
    name = entry.features[NAME].tobytes().decode()
    return names.get(name) or label or spoken(name)


def spoken(name: str) -> str:
    """A name as it is read: the words of files and folders have underscores between them."""
    return name.replace("_", " ")
