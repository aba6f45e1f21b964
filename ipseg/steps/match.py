"""Compare an image with every concept of the prompt bank, where its features are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipseg.bank import PromptBank
from ipseg.features import Extractor
from ipseg.features.similarity import Similarity
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.points import PointSelection
from ipseg.networks.models import Models
from ipseg.rows import Map, Resources, Row, Step
from ipseg.saliency import Saliency


@dataclass
class MatchConcepts(Step):
    """Features and similarity in one worker: only small similarity maps come out."""

    extractors: dict[str, Extractor]
    matching: Matching
    saliency: Saliency
    bank: PromptBank
    models: Models

    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("similarity", "presence")
    loads_model: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        """One core, and what its models declare together."""
        needed = sum(extractor.gpu_memory_gb for extractor in self.extractors.values())
        return Resources(gpu_memory_gb=needed + self._uses_saliency * self.saliency.gpu_memory_gb)

    def setup(self) -> None:
        """Loads the feature models, and saliency where the fused map uses it."""
        for extractor in self.extractors.values():
            extractor.setup(self.models)
        if self._uses_saliency:
            self.saliency.setup(self.models)

    @property
    def _uses_saliency(self) -> bool:
        return self.matching.saliency_weight > 0

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `similarity` (P, gh, gw) and `presence` (P,)."""
        images = [row["image"] for row in rows]
        grids = [self.matching.grid_of(row["width"], row["height"]) for row in rows]
        compared = [
            extractor.compare(images, self.bank.arrays(kind), grids)
            for kind, extractor in self.extractors.items()
        ]
        weights = [extractor.weight for extractor in self.extractors.values()]
        done = []
        for row, found in zip(rows, zip(*compared, strict=True), strict=True):
            saliency = self.saliency.predict(row["image"]) if self._uses_saliency else None
            done.append({**row, **fuse(found, weights, self.matching, saliency)})
        return done


@dataclass
class SelectPoints(Step):
    """The most and least similar cells of each concept become point prompts."""

    selection: PointSelection

    name: ClassVar[str] = "points"
    requires: ClassVar[tuple[str, ...]] = ("similarity", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `points`: for each concept a list of {x, y, label} in pixels."""
        return [
            {**row, "points": [points_of(self.selection, m, row) for m in row["similarity"]]}
            for row in rows
        ]


def fuse(
    found: Sequence[Similarity], weights: Sequence[float], matching: Matching, saliency: Map | None
) -> Row:
    """`similarity` (P, gh, gw) and `presence` (P,) of one image from what each extractor says."""
    # Independent witnesses: the concept is missing only if every extractor is wrong.
    absent = np.prod([1.0 - each.presence for each in found], axis=0)
    return {
        "similarity": matching.fuse([each.maps for each in found], weights, saliency),
        "presence": (1.0 - absent).astype(np.float32),
    }


def points_of(selection: PointSelection, similarity: Map, row: Row) -> list[dict[str, float]]:
    """Point prompts {x, y, label} of one similarity map, in pixels of the row's picture."""
    coords, labels = selection.select(similarity, row["width"], row["height"])
    return [
        {"x": float(x), "y": float(y), "label": int(label)}
        for (x, y), label in zip(coords, labels, strict=True)
    ]
