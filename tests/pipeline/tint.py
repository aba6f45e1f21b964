"""A method of the tests' own: pixels whose colour is near that of the prompt's object.

It loads nothing and takes no time, so tests of what is around a method can run whole jobs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from ipseg.bank import Bank, Entry
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Image, Row, Step
from ipseg.vision.masks import read_soft_mask


def note(folder: str, what: str, rows: list[Row]) -> None:
    """Writes the keys of rows down in FOLDER/WHAT, unless FOLDER is "".

    Keys in FOLDER/stop end the run, as Ctrl-C does; those in FOLDER/fail cannot be worked on.
    """
    if not folder:
        return
    for row in rows:
        if row["key"] in listed(folder, "stop"):
            raise KeyboardInterrupt
        with Path(folder, what).open("a") as notes:
            notes.write(f"{row['key']}\n")
        if row["key"] in listed(folder, "fail"):
            raise OSError(f"{row['key']}: the network is away")


def listed(folder: str, what: str) -> list[str]:
    """The keys in FOLDER/WHAT."""
    file = Path(folder, what)
    return file.read_text().splitlines() if file.exists() else []


@dataclass(frozen=True)
class Tint(Method):
    """One object for each concept.

    Attributes:
        near: largest distance of colours.
        gain: colours of prompts are multiplied by it.
        notes: folder for `note`, which notes "prompts" and "images".
        seconds: that an image takes.
    """

    near: float = 60.0
    gain: float = 1.0
    notes: str = ""
    seconds: float = 0.0

    def prompt_steps(self) -> list[Step]:
        return [MeanColour(self.gain, self.notes)]

    def image_steps(self, bank: Bank) -> list[Step]:
        return [NearColour(self.near, bank, self.notes, self.seconds)]


@dataclass(frozen=True)
class TintByMedian(Tint):
    """The same, but for what it keeps of a prompt."""

    def prompt_steps(self) -> list[Step]:
        return [MedianColour(self.gain, self.notes)]


@dataclass(frozen=True)
class TintInSequences(Method):
    """One object for each piece of such pixels in each frame, numbered from left to right."""

    near: float = 60.0
    row_is: ClassVar[Any] = "sequence"

    def prompt_steps(self) -> list[Step]:
        return [MeanColour(1.0, "")]

    def image_steps(self, bank: Bank) -> list[Step]:
        return [PiecesInFrames(self.near, bank)]


@dataclass
class MeanColour(Step):
    gain: float
    notes: str

    name: ClassVar[str] = "colour"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    @property
    def thread_safe(self) -> bool:
        return not self.notes

    def __call__(self, rows: list[Row]) -> list[Row]:
        note(self.notes, "prompts", rows)
        return [{**row, "prompt_features": {"colour": self._colour(row)}} for row in rows]

    def _colour(self, row: Row) -> np.ndarray:
        inside = read_soft_mask(row["support_mask"]) > 0.5
        return (row["image"][inside].mean(axis=0) * self.gain).astype(np.float32)


@dataclass
class MedianColour(MeanColour):
    def _colour(self, row: Row) -> np.ndarray:
        inside = read_soft_mask(row["support_mask"]) > 0.5
        return np.median(row["image"][inside], axis=0).astype(np.float32)


def near(image: Image, entry: Entry, distance: float) -> np.ndarray:
    """(H, W) bool: the pixels whose colour is near an entry's."""
    return np.linalg.norm(image - entry.features["colour"], axis=2) < distance


@dataclass
class NearColour(Step):
    near: float
    bank: Bank
    notes: str = ""
    seconds: float = 0.0

    name: ClassVar[str] = "near"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    @property
    def thread_safe(self) -> bool:
        return not self.notes  # they are in order

    def __call__(self, rows: list[Row]) -> list[Row]:
        note(self.notes, "images", rows)
        time.sleep(self.seconds * len(rows))
        return [{**row, "objects": self._objects(row)} for row in rows]

    def _objects(self, row: Row) -> list[Object]:
        found = [(entry, near(row["image"], entry, self.near)) for entry in self.bank.asked(row)]
        return [
            Object.of(entry.concept, entry.category_id, mask, float(mask.mean()))
            for entry, mask in found
            if mask.any()
        ]


@dataclass
class PiecesInFrames(Step):
    near: float
    bank: Bank

    name: ClassVar[str] = "pieces"
    requires: ClassVar[tuple[str, ...]] = ("frames",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        return [{**row, "objects": self._objects(row)} for row in rows]

    def _objects(self, row: Row) -> list[Object]:
        return [
            Object.of(entry.concept, entry.category_id, mask, 1.0, frame=frame, instance=instance)
            for frame, image in enumerate(row["frames"])
            for entry in self.bank.asked(row)
            for instance, mask in enumerate(pieces(near(image, entry, self.near)))
        ]


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The connected pieces of a (H, W) mask, from left to right."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    order = sorted(range(1, count), key=lambda label: stats[label, cv2.CC_STAT_LEFT])
    return [labels == label for label in order]
