"""A method of one's own, as small as can be: it looks for a colour in the frames of a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ipseg import Bank, Method, Object, Row, Step
from ipseg.vision.masks import read_soft_mask


@dataclass(frozen=True)
class ColourTracks(Method):
    """Pixels whose colour is nearer to the object's than to that of what is around it.

    Attributes:
        margin: by how much, in levels of 255.
    """

    margin: float = 0.0

    row_is: ClassVar[Literal["image", "sequence"]] = "sequence"

    def prompt_steps(self) -> list[Step]:
        return [MeanColours()]

    def image_steps(self, bank: Bank) -> list[Step]:
        return [NearestColour(bank, self.margin)]


@dataclass
class MeanColours(Step):
    """The mean colours of the object and of the rest."""

    name: ClassVar[str] = "colours"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        return [{**row, "prompt_features": self._colours(row)} for row in rows]

    def _colours(self, row: Row) -> dict[str, np.ndarray]:
        inside = read_soft_mask(row["support_mask"]) > 0.5
        image = row["image"].astype(np.float32)
        around = image[~inside].mean(axis=0) if not inside.all() else np.zeros(3, np.float32)
        return {"object": image[inside].mean(axis=0), "around": around}


@dataclass
class NearestColour(Step):
    """One object for each concept and frame in which a pixel has its colour."""

    bank: Bank
    margin: float

    name: ClassVar[str] = "nearest"
    requires: ClassVar[tuple[str, ...]] = ("frames",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        return [{**row, "objects": list(self._objects(row))} for row in rows]

    def _objects(self, row: Row) -> Iterator[Object]:
        for entry in self.bank.asked(row):
            colours = entry.features
            for number, frame in enumerate(row["frames"]):
                far = {name: np.linalg.norm(frame - each, axis=2) for name, each in colours.items()}
                mask = far["object"] + self.margin < far["around"]
                if mask.any():
                    score = float(1 / (1 + far["object"][mask].mean()))
                    yield Object.of(entry.concept, entry.category_id, mask, score, frame=number)
