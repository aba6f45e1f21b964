"""What is kept of an example, and how similar the cells of another image are to it.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code; as PerSAM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank
from ipseg.methods.persam.reference import object_features
from ipseg.methods.persense import similarity
from ipseg.rows import Map, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask

TARGET = "target"  # name of the prompt feature


@dataclass
class DescribeTarget(NetworkStep):
    """The mean feature of a prompt's object."""

    segmenter: Any  # a FeatureSegmenter
    mask_value: int

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `target` (c,), not normalised."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "prompt_features": {TARGET: self._target(row, embedding)}}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _target(self, row: Row, embedding: Any) -> Map:  # noqa: ANN401
        mask = read_soft_mask(row["support_mask"]) > 0.5
        features = object_features(self.segmenter, embedding, mask, self.mask_value)
        return np.asarray(features.mean(dim=0).cpu().numpy())


@dataclass
class Compare(NetworkStep):
    """Similarity of each cell of the segmenter's features with each concept."""

    segmenter: Any  # a FeatureSegmenter
    bank: Bank

    name: ClassVar[str] = "compare"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("similarity",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `similarity` (P, gh, gw) over the segmenter's square."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "similarity": self._similarity(row, embedding)}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _similarity(self, row: Row, embedding: Any) -> Map:  # noqa: ANN401
        targets = [entry.features[TARGET] for entry in self.bank.asked(row)]
        if not targets:
            return np.zeros((0, 1, 1), np.float32)
        return similarity.cosines(self.segmenter, embedding, np.stack(targets))
