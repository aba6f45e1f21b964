"""The steps of IPSeg: describe a prompt, match an image, choose points, segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ipseg.bank import Bank, Entry
from ipseg.features import Extractor
from ipseg.features.similarity import FINER, Similarity
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.points import PointSelection
from ipseg.methods.ipseg.scoring import Scoring, similarity_statistics
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Arrays, Image, Map, Row, Step
from ipseg.saliency import Saliency
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import Refinement
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import read_soft_mask

_BETWEEN = "/"  # extractor and array, in the name of a prompt feature


def features_of(entry: Entry, extractor: str) -> Arrays:
    """What one extractor keeps of a concept."""
    return _own(entry.features, extractor)


def _own(features: Arrays, extractor: str) -> Arrays:
    start = f"{extractor}{_BETWEEN}"
    return {n.removeprefix(start): a for n, a in features.items() if n.startswith(start)}


@dataclass
class DescribePrompt(NetworkStep):
    """Features of the prompt's object, by every extractor."""

    extractors: dict[str, Extractor]

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: EXTRACTOR/NAME -> array."""
        return [{**row, "prompt_features": self._features(row)} for row in rows]

    def _features(self, row: Row) -> Arrays:
        mask = read_soft_mask(row["support_mask"])
        return {
            f"{kind}{_BETWEEN}{name}": array
            for kind, extractor in self.extractors.items()
            for name, array in extractor.prompt_features(row["image"], mask).items()
        }


@dataclass
class Match(NetworkStep):
    """Features and similarity in one worker: only small similarity maps come out.

    Attributes:
        extractors: kind -> extractor.
        weights: kind -> share of its maps in the fused map.
        matching: how maps are fused.
        bank: what to look for.
        saliency: of the image itself, where the fused map takes it in; else None.
        apart: also say where the evidence lies, so that instances can be separated.
    """

    extractors: dict[str, Extractor]
    weights: dict[str, float]
    matching: Matching
    bank: Bank
    saliency: Saliency | None = None
    apart: bool = False

    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("image", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("similarity", "presence")
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __post_init__(self) -> None:
        if self.apart:
            self.provides = (*type(self).provides, *_APART)  # type: ignore[misc]

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `similarity` (P, gh, gw) and `presence` (P,) for the P concepts of each row."""
        images = [row["image"] for row in rows]
        grids = [self.matching.grid_of(row["width"], row["height"]) for row in rows]
        asked = [self.bank.asked(row) for row in rows]
        # Each concept of the batch once; few rows ask for different ones, but for benchmarks.
        every = list({entry.concept: entry for entries in asked for entry in entries}.values())
        place = {entry.concept: index for index, entry in enumerate(every)}
        compared = {
            kind: extractor.compare(images, [features_of(e, kind) for e in every], grids)
            if every
            else [_of_nothing(grid) for grid in grids]
            for kind, extractor in self.extractors.items()
        }
        done = []
        for index, (row, entries) in enumerate(zip(rows, asked, strict=True)):
            chosen = [place[entry.concept] for entry in entries]
            maps = [each[index].maps[chosen] for each in compared.values()]
            weights = [self.weights[kind] for kind in compared]
            saliency = None if self.saliency is None else self.saliency.predict(row["image"])
            # Independent witnesses: the concept is missing only if every extractor is wrong.
            absent = np.prod([1.0 - each[index].presence[chosen] for each in compared.values()], 0)
            done.append(
                {
                    **row,
                    "similarity": self.matching.fuse(maps, weights, saliency),
                    "presence": (1.0 - absent).astype(np.float32),
                    **(self._apart([each[index] for each in compared.values()], chosen)),
                }
            )
        return done

    def _apart(self, compared: Sequence[Similarity], chosen: list[int]) -> dict[str, Any]:
        if not self.apart:
            return {}
        absent = np.prod([1.0 - each.local_presence()[chosen] for each in compared], axis=0)
        placing = [each.placements for each in compared if each.placements is not None]
        none = np.zeros((0, *(FINER * side for side in absent.shape[1:])), np.float32)
        placements = [np.concatenate([none, *(each[c] for each in placing)]) for c in chosen]
        found = ((1.0 - absent).astype(np.float32), placements)
        return dict(zip(_APART, found, strict=True))


_APART = ("local_presence", "placements")


def _of_nothing(grid: tuple[int, int]) -> Similarity:
    return Similarity(np.zeros((0, *grid), np.float32), np.zeros(0, np.float32))


@dataclass
class SelectPoints(Step):
    """The most and least similar cells of each concept become point prompts."""

    selection: PointSelection

    name: ClassVar[str] = "points"
    requires: ClassVar[tuple[str, ...]] = ("similarity", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def setup(self) -> None:
        """Imports k-means."""
        self.selection.load()

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `points`: for each concept (n, 3) float32, x and y in pixels and the label."""
        return [
            {**row, "points": [self._points(m, row) for m in row["similarity"]]} for row in rows
        ]

    def _points(self, similarity: Map, row: Row) -> npt.NDArray[np.float32]:
        coords, labels = self.selection.select(similarity, row["width"], row["height"])
        return np.column_stack([coords, labels]).astype(np.float32)


@dataclass
class Segment(SegmentStep):
    """One mask for each concept that a row asks for, with the numbers to judge it by."""

    segmenter: Segmenter
    refinement: Refinement
    scoring: Scoring
    bank: Bank

    requires: ClassVar[tuple[str, ...]] = ("image", "similarity", "presence", "points")

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """See `SegmentStep.encode`."""
        return self.segmenter.encode(images)

    def objects(self, row: Row, encoded: Any) -> Iterator[Object]:  # noqa: ANN401
        """One for each concept of which something was found."""
        prompts = [PointPrompt(each[:, :2], each[:, 2].astype(np.int8)) for each in row["points"]]
        decoded = self.refinement.run_many(self.segmenter, encoded, prompts, row["similarity"])
        for index, (entry, each) in enumerate(zip(self.bank.asked(row), decoded, strict=True)):
            best = self.scoring.best(each)
            if best is None:
                continue
            predicted_iou = float(each.predicted_iou[best])
            presence = float(row["presence"][index])
            score = self.scoring.score(predicted_iou, presence)
            if score < self.scoring.min_score:
                continue
            seen = each.frame_masks if self.refinement.frame == "segmenter" else None
            mask = (each.masks if seen is None else seen)[best]
            yield Object.of(
                entry.concept,
                entry.category_id,
                mask,
                score,
                predicted_iou=predicted_iou,
                evidence={
                    PRESENCE: presence,
                    **similarity_statistics(row["similarity"][index], mask),
                },
                points=row["points"][index],
            )


def merged(extractors: dict[str, Extractor], shots: Sequence[Arrays]) -> Arrays:
    """One entry of the bank from the features of a concept's prompts, extractor by extractor."""
    return {
        f"{kind}{_BETWEEN}{name}": array
        for kind, extractor in extractors.items()
        for name, array in extractor.merge([_own(shot, kind) for shot in shots]).items()
    }
