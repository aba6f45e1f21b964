"""The first steps of PerSense: where the name of each concept is found, if a detector is asked.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank
from ipseg.crowd import Crowd
from ipseg.detectors import Detector
from ipseg.methods.persense.label import label_of
from ipseg.methods.persense.names import plural
from ipseg.rows import Row, Step
from ipseg.steps.name import words_for
from ipseg.steps.network_step import NetworkStep


@dataclass
class Begin(Step):
    """Crowds of which nothing is known yet, where no detector is asked."""

    bank: Bank

    name: ClassVar[str] = "begin"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("crowds",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `crowds`, one for each concept that a row asks for."""
        return [
            {**row, "crowds": [Crowd(e.concept, e.category_id) for e in self.bank.asked(row)]}
            for row in rows
        ]


@dataclass
class Ground(NetworkStep):
    """Where the name of each concept is found: one of it, and all of them."""

    detector: Detector
    names: Mapping[str, str]
    bank: Bank

    name: ClassVar[str] = "ground"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("crowds",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `crowds`; a concept whose name is not found is over."""
        encoded = self.detector.encode([row["image"] for row in rows])
        return [
            {**row, "crowds": [self._crowd(entry, each) for entry in self.bank.asked(row)]}
            for row, each in zip(rows, encoded, strict=True)
        ]

    def _crowd(self, entry: Any, encoded: Any) -> Crowd:  # noqa: ANN401
        name = words_for(entry, self.names, label_of(entry.features))
        one = self.detector.detect(encoded, name)
        crowd = Crowd(entry.concept, entry.category_id)
        if not len(one.boxes):
            return crowd.over("no grounding box")
        best_first = np.argsort(-one.scores, kind="stable")
        every = self.detector.detect(encoded, plural(name))
        return replace(
            crowd,
            named=one.boxes[best_first].astype(np.float64),
            gate=every.boxes.astype(np.float64),
        )
