"""From candidate masks to one object with a score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ipseg.objects import Object
from ipseg.rows import Map
from ipseg.segmenters.prompt import Decoded
from ipseg.vision.geometry import resize_map


@dataclass(frozen=True)
class Scoring:
    """How an object is scored and when it is left out.

    Attributes:
        presence: how strongly the evidence that the concept is there at all weighs in the score,
            from 0 (the published method: every image is taken to contain the concept, and the
            score is the segmenter's predicted IoU) to 1 (score = presence x predicted IoU).
        min_score: objects below this score are not written; 0 keeps them all, so that a
            threshold can be chosen later without running again.
    """

    presence: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0

    def best(self, decoded: Decoded) -> int | None:
        """Index of the filled candidate with the highest predicted IoU; None if all are empty."""
        filled = decoded.masks.any(axis=(1, 2))
        if not filled.any():
            return None
        return int(np.argmax(np.where(filled, decoded.predicted_iou, -np.inf)))

    def score(self, predicted_iou: float, presence: float) -> float:
        """Confidence in [0, 1] that the mask shows the concept and follows its outline."""
        # SAM's estimate is a plain regression and can leave [0, 1].
        quality = min(1.0, max(0.0, predicted_iou))
        return quality * (1.0 - self.presence + self.presence * presence)

    def again(self, found: Object) -> Object | None:
        """The object with its score by these settings; None if that is below `min_score`."""
        presence = float(found.evidence.get("presence") or 0.0)
        score = self.score(float(found.predicted_iou or 0.0), presence)
        return replace(found, score=score) if score >= self.min_score else None


def similarity_statistics(
    similarity: Map, mask: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, float | None]:
    """Maximum of a (gh, gw) map, and its means inside and outside a (H, W) mask.

    A mean over no cell is None (a mask smaller than half a cell, or one that fills the image).
    """
    inside = resize_map(mask.astype(np.float32), similarity.shape, how="area") >= 0.5
    return {
        "similarity_max": float(similarity.max()),
        "similarity_inside": float(similarity[inside].mean()) if inside.any() else None,
        "similarity_outside": float(similarity[~inside].mean()) if not inside.all() else None,
    }
