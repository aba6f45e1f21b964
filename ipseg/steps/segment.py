"""Points to masks: the image is encoded once, then decoded for each concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import PromptBank
from ipseg.methods.ipseg.scoring import Scoring, make_object, similarity_statistics
from ipseg.networks.models import Models
from ipseg.rows import Resources, Row, Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import Refinement


@dataclass
class SegmentObjects(Step):
    """One mask for each concept of the bank, with the numbers to judge it by."""

    segmenter: Segmenter
    refinement: Refinement
    scoring: Scoring
    bank: PromptBank
    models: Models

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image", "similarity", "presence", "points")
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    loads_model: ClassVar[bool] = True

    def setup(self) -> None:
        """Loads the segmenter."""
        self.segmenter.setup(self.models)

    @property
    def resources(self) -> Resources:
        """One core, and what the segmenter declares."""
        return Resources(gpu_memory_gb=self.segmenter.gpu_memory_gb)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`, in the bank's order; an empty list if nothing was found."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "objects": self._objects(row, embedding)}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _objects(self, row: Row, embedding: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        prompts = prompts_of(row["points"])
        answers = self.refinement.run_many(self.segmenter, embedding, prompts, row["similarity"])
        found = []
        for index, (concept, decoded) in enumerate(zip(self.bank.concepts, answers, strict=True)):
            best = self.scoring.best(decoded)
            if best is None:
                continue
            mask = decoded.masks[best]
            predicted_iou = float(decoded.predicted_iou[best])
            presence = float(row["presence"][index])
            score = self.scoring.score(predicted_iou, presence)
            if score < self.scoring.min_score:
                continue
            found.append(
                {
                    **make_object(concept.name, concept.category_id, mask),
                    "score": score,
                    "predicted_iou": predicted_iou,
                    "presence": presence,
                    **similarity_statistics(row["similarity"][index], mask),
                    "points": row["points"][index],
                }
            )
        return found


def prompts_of(points: Sequence[list[dict[str, float]]]) -> list[PointPrompt]:
    """Lists of {x, y, label} as the segmenter takes them."""
    return [
        PointPrompt(
            np.array([(p["x"], p["y"]) for p in each], np.float32).reshape(-1, 2),
            np.array([p["label"] for p in each], np.int8),
        )
        for each in points
    ]
