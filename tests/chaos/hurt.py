"""Steps that note what they see, take their time to load, or end their process."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ipseg.rows import Row, Step
from jobs.bench.synthetic import SyntheticSegment

LOADING_SECONDS = 0.8


@dataclass
class Witness(Step):
    """Writes down the keys that it sees, whoever runs it."""

    file: str

    name: ClassVar[str] = "witness"
    requires: ClassVar[tuple[str, ...]] = ("points",)
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        lines = "".join(f"{row['key']}\n" for row in rows).encode()
        file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, lines)  # one call: writers do not mix their lines
        finally:
            os.close(file)
        return rows


@dataclass
class LoadingSegment(SyntheticSegment):
    """A segmenter whose model takes a while to load; says so while it does."""

    marks: str = ""

    name: ClassVar[str] = "segment"

    def setup(self) -> None:
        mark = Path(self.marks) / str(os.getpid())
        mark.touch()
        time.sleep(LOADING_SECONDS)
        mark.with_suffix(".loaded").touch()


@dataclass
class Deadly(Step):
    """Ends its process on some keys, as a segmentation fault would."""

    keys: tuple[str, ...]
    in_actor: bool

    name: ClassVar[str] = "deadly"
    requires: ClassVar[tuple[str, ...]] = ("objects",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    @property
    def loads_model(self) -> bool:
        return self.in_actor

    def __call__(self, rows: list[Row]) -> list[Row]:
        if any(row["key"] in self.keys for row in rows):
            os._exit(139)
        return rows
