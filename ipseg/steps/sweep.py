"""The steps of a pass with several settings, each image asked for its own entries of the bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Concept
from ipseg.features import Extractor
from ipseg.features.similarity import Similarity
from ipseg.networks.models import Models
from ipseg.rows import Resources, Row, Step
from ipseg.saliency import Saliency
from ipseg.segmenters import Segmenter
from ipseg.steps.match import fuse, points_of
from ipseg.steps.segment import prompts_of
from ipseg.sweep import Finish, Sweep
from ipseg.vision.masks import encode_rle


def entries_of(row: Row) -> list[str]:
    """Entries of the bank that a row's episodes show it, each once, in order."""
    return list(dict.fromkeys(episode["entry"] for episode in row["episodes"]))


@dataclass
class MatchLooks(Step):
    """Features once, similarity for every look and every entry a row is asked for."""

    extractors: dict[str, Extractor]
    sweep: Sweep
    saliency: Saliency
    models: Models

    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("image", "episodes")
    provides: ClassVar[tuple[str, ...]] = ("similarity", "presence")
    loads_model: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        """One core, and what its models declare together."""
        needed = sum(extractor.gpu_memory_gb for extractor in self.extractors.values())
        return Resources(gpu_memory_gb=needed + self._uses_saliency * self.saliency.gpu_memory_gb)

    @property
    def _uses_saliency(self) -> bool:
        return any(look.matching.saliency_weight > 0 for look in self.sweep.looks)

    def setup(self) -> None:
        """Loads the models."""
        for extractor in self.extractors.values():
            extractor.setup(self.models)
        if self._uses_saliency:
            self.saliency.setup(self.models)
        self._concepts: list[dict[str, Concept]] = [
            {concept.name: concept for concept in look.bank.concepts} for look in self.sweep.looks
        ]

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `similarity` (maps, gh, gw) and `presence` (maps,), in the order of the sweep."""
        images = [row["image"] for row in rows]
        matching = self.sweep.looks[0].matching
        grids = [matching.grid_of(row["width"], row["height"]) for row in rows]
        every = list(dict.fromkeys(entry for row in rows for entry in entries_of(row)))
        # Two looks at the same bank are one comparison.
        banks = {id(look.bank): number for number, look in enumerate(self.sweep.looks)}
        asked = [
            (number, entry)
            for number in banks.values()
            for entry in self.sweep.looks[number].known(every)
        ]
        place = {pair: index for index, pair in enumerate(asked)}
        compared = {
            kind: extractor.compare(
                images,
                [self._concepts[number][entry].description[kind] for number, entry in asked],
                grids,
            )
            for kind, extractor in self.extractors.items()
        }
        done = []
        for index, row in enumerate(rows):
            saliency = self.saliency.predict(row["image"]) if self._uses_saliency else None
            maps, presence = [], []
            for look in self.sweep.looks:
                known = look.known(entries_of(row))
                if not known:
                    continue
                chosen = [place[banks[id(look.bank)], entry] for entry in known]
                found = [
                    Similarity(each.maps[chosen], each.presence[chosen])
                    for each in (compared[kind][index] for kind in look.weights)
                ]
                weights = list(look.weights.values())
                fused = fuse(found, weights, look.matching, saliency)
                maps.append(fused["similarity"])
                presence.append(fused["presence"])
            both = {"similarity": np.concatenate(maps), "presence": np.concatenate(presence)}
            done.append({**row, **both})
        return done


@dataclass
class SelectForFinishes(Step):
    """Point prompts for every finish and entry."""

    sweep: Sweep

    name: ClassVar[str] = "points"
    requires: ClassVar[tuple[str, ...]] = ("similarity", "episodes", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `points`: a list of {x, y, label} for each mask to come."""
        return [
            {
                **row,
                "points": [
                    points_of(finish.selection, row["similarity"][index], row)
                    for finish, _, index in self.sweep.asked(entries_of(row))
                ],
            }
            for row in rows
        ]


@dataclass
class SegmentForFinishes(Step):
    """One mask for every finish and entry; the image is encoded once."""

    segmenter: Segmenter
    sweep: Sweep
    models: Models

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image", "similarity", "presence", "points", "episodes")
    provides: ClassVar[tuple[str, ...]] = ("answers",)
    loads_model: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        """One core, and what the segmenter declares."""
        return Resources(gpu_memory_gb=self.segmenter.gpu_memory_gb)

    def setup(self) -> None:
        """Loads the segmenter."""
        self.segmenter.setup(self.models)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `answers`, in the order of the sweep; one that is empty has an empty mask."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "answers": self._answers(row, embedding)}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _answers(self, row: Row, embedding: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        answers: list[dict[str, Any]] = []
        for finish in self.sweep.finishes:
            entries = self.sweep.known(finish, entries_of(row))
            if not entries:
                continue
            points = row["points"][len(answers) : len(answers) + len(entries)]
            answers += self._finish(finish, entries, points, row, embedding)
        return answers

    def _finish(
        self,
        finish: Finish,
        entries: Sequence[str],
        points: Sequence[list[dict[str, float]]],
        row: Row,
        embedding: Any,  # noqa: ANN401
    ) -> list[dict[str, Any]]:
        maps = self.sweep.maps_of(finish, entries_of(row))
        decoded = finish.refinement.run_many(
            self.segmenter, embedding, prompts_of(points), row["similarity"][maps]
        )
        answers = []
        for entry, given, presence, each in zip(
            entries, points, row["presence"][maps], decoded, strict=True
        ):
            best = finish.scoring.best(each)
            iou = 0.0 if best is None else float(each.predicted_iou[best])
            score = 0.0 if best is None else finish.scoring.score(iou, float(presence))
            kept = best is not None and score >= finish.scoring.min_score
            mask = each.masks[best] if kept else np.zeros((row["height"], row["width"]), bool)
            answers.append(
                {
                    "variant": finish.variant,
                    "entry": entry,
                    "segmentation": encode_rle(mask),
                    "predicted_iou": iou,
                    "score": score,
                    "points": given,
                }
            )
        return answers
