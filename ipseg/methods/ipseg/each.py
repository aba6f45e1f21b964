"""The step that finds every instance of the concepts of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank, Entry
from ipseg.methods.ipseg.instances import (
    Instances,
    Known,
    Place,
    places,
    prompts,
    region_evidence,
)
from ipseg.methods.ipseg.points import PointSelection
from ipseg.methods.ipseg.repeats import Distinct, numbered
from ipseg.methods.ipseg.scoring import Scoring, similarity_statistics
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Map, Mask, Row
from ipseg.saliency.foreground import overlap
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.segmenters.refinement import Refinement
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.geometry import resize_map

_AGREED = 0.6  # least IoU of a mask and the placement that it was decoded from
_PLACED = 0.85  # quality of the outline of a placement, which knows nothing of the image's edges

Prompted = tuple[PointPrompt, Map]


@dataclass
class SegmentEach(NetworkStep):
    """A mask for each instance of each concept that a row asks for.

    In the first round the places that stand out in the similarity map are decoded; a single one
    exactly as with `instances.mode=one`. What is found is taken off the map, and what stands out
    then is decoded, until there is nothing left that is like it.
    """

    segmenter: Segmenter
    refinement: Refinement
    scoring: Scoring
    instances: Instances
    selection: PointSelection
    bank: Bank

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = (
        *("image", "similarity", "presence", "points", "width", "height"),
        *("local_presence", "placements"),
    )
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`, in the bank's order, of each concept by descending score."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "objects": list(self._objects(row, embedding))}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _objects(self, row: Row, embedding: Any) -> Iterator[Object]:  # noqa: ANN401
        searches = [
            _Search(self, row, index, entry) for index, entry in enumerate(self.bank.asked(row))
        ]
        # The first round of all concepts together: most have one object, and go in one batch.
        groups = [search.next_prompts() for search in searches]
        decoded = self.refinement.run_groups(self.segmenter, embedding, groups)
        for search, group in zip(searches, groups, strict=True):
            search.take(group, decoded)
            while more := search.next_prompts():
                search.take(more, self.refinement.run_groups(self.segmenter, embedding, [more]))
            yield from numbered(search.found.objects)


class _Search:
    """The search for the instances of one concept in one image."""

    def __init__(self, step: SegmentEach, row: Row, index: int, entry: Entry) -> None:
        self.step, self.entry = step, entry
        self.similarity: Map = row["similarity"][index]
        self.local: Map = row["local_presence"][index]
        self.placements = row["placements"][index]
        self.points = row["points"][index]
        self.presence = float(row["presence"][index])
        self.size = (row["width"], row["height"])
        self.found = Distinct((row["height"], row["width"]), step.instances.repeated)
        self.taken: Mask = np.zeros(self.similarity.shape, bool)
        self.known = Known()
        self.places: list[Place] = []
        self.rounds = 0

    def next_prompts(self) -> list[Prompted]:
        """Prompts of the next round; empty if nothing is left that is like what was found."""
        settings = self.step.instances
        left = settings.max_instances - len(self.found.objects)
        first = self.rounds == 0
        self.rounds += 1
        if left <= 0 or not (first or self.found.objects):
            return []
        placements = self.placements if first else self.placements[:0]
        found = places(self.similarity, self.local, placements, self.taken, self.known, settings)[
            :left
        ]
        if first and len(found) < 2:
            self.places = found or [Place(np.ones_like(self.taken))]
            points = PointPrompt(self.points[:, :2], self.points[:, 2].astype(np.int8))
            return [(points, self.similarity)]
        self.places = found
        for place in found:
            self.taken = self.taken | place.cells
        return list(prompts(found, self.similarity, self.points, self.size, self.step.selection))

    def take(self, given: Sequence[Prompted], decoded: Iterator[Decoded]) -> None:
        """Keeps the instances among what was decoded, and takes them off the map."""
        candidates, grid = [], self.similarity.shape
        certain = any(place.is_certain(self.step.instances) for place in self.places)
        self.known = self.known.and_of([], self.local, certain=certain)
        for (prompt, _), place in zip(given, self.places, strict=True):
            found = self._object(prompt, next(decoded), place)
            if found is None:
                continue
            sure = place.placement is not None or len(given) == 1 == self.rounds
            if sure or self.known.like(_cells(found.mask, grid), self.local, self.step.instances):
                candidates.append(found)
        kept = [_cells(each.mask, grid) for each in self.found.add(candidates)]
        for cells in kept:
            self.taken = self.taken | cells
        self.known = self.known.and_of(kept, self.local)

    def _object(self, prompt: PointPrompt, decoded: Decoded, place: Place) -> Object | None:
        scoring = self.step.scoring
        best = scoring.best(decoded)
        seen = decoded.frame_masks if self.step.refinement.frame == "segmenter" else None
        masks = decoded.masks if seen is None else seen
        mask = np.zeros(masks.shape[1:], bool) if best is None else masks[best]
        predicted_iou = 0.0 if best is None else float(decoded.predicted_iou[best])
        if place.placement is not None:
            mask, predicted_iou = _as_placed(place.placement, mask, predicted_iou)
        if not mask.any():
            return None
        presence = self._presence(_cells(mask, self.similarity.shape))
        score = scoring.score(predicted_iou, presence)
        if score < scoring.min_score:
            return None
        return Object.of(
            self.entry.concept,
            self.entry.category_id,
            mask,
            score,
            predicted_iou=predicted_iou,
            evidence={PRESENCE: presence, **similarity_statistics(self.similarity, mask)},
            points=np.column_stack([prompt.coords, prompt.labels]).astype(np.float32),
        )

    def _presence(self, cells: Mask) -> float:
        """Evidence of presence in [0, 1] in the region of a mask; at most that in the image."""
        placed = max((_agreement(each, cells) for each in self.placements), default=0.0)
        absent = (1.0 - region_evidence(self.local, cells)) * (1.0 - placed)
        return min(self.presence, 1.0 - absent)


def _as_placed(placement: Map, mask: Mask, predicted_iou: float) -> tuple[Mask, float]:
    """The mask, or the outline of the placement if the two do not agree."""
    top = float(placement.max())
    outline = resize_map(placement, (mask.shape[0], mask.shape[1])) > top / 2
    agreed = overlap(outline, mask)
    if agreed >= _AGREED or not outline.any():
        return mask, predicted_iou
    certainty = float(resize_map(placement, outline.shape)[outline].mean()) / top
    return outline, max(predicted_iou * agreed, _PLACED * certainty)


def _agreement(placement: Map, cells: Mask) -> float:
    """Evidence of a placement for a region: all of it from a Dice coefficient of 2/3 on."""
    top = float(placement.max())
    if top <= 0:
        return 0.0
    share = resize_map(placement, (cells.shape[0], cells.shape[1]), "area") / top
    dice = 2 * float(share[cells].sum()) / float(share.sum() + cells.sum())
    return top * min(1.0, 1.5 * dice)


def _cells(mask: Mask, grid: tuple[int, ...]) -> Mask:
    """Cells of a grid of which a (H, W) mask covers half, or else those that it covers most."""
    share = resize_map(mask.astype(np.float32), (grid[0], grid[1]), how="area")
    return np.asarray(share >= max(1e-6, min(0.5, float(share.max()))))
