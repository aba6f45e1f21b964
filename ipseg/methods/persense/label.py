"""The name of a prompt's object, kept with its features as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipseg.labellers import Labeller
from ipseg.rows import Arrays, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask

LABEL = "label"  # name of the prompt feature


@dataclass
class Label(NetworkStep):
    """Names the object of each prompt.

    Prompts are described before any image is looked at; then nothing refers to the labeller any
    more, and its memory is free.
    """

    labeller: Labeller

    name: ClassVar[str] = "label"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask", "prompt_features")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `label` to `prompt_features`: (n,) uint8, UTF-8."""
        return [
            {**row, "prompt_features": {**row["prompt_features"], LABEL: self._label(row)}}
            for row in rows
        ]

    def _label(self, row: Row) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        found = self.labeller.label(row["image"], read_soft_mask(row["support_mask"]) > 0.5)
        return np.frombuffer(found.encode(), np.uint8)


def label_of(features: Arrays) -> str:
    """The name among the features of a concept; "" if it has none."""
    return features[LABEL].astype(np.uint8).tobytes().decode() if LABEL in features else ""
