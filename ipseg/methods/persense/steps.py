"""The steps of PerSense that look at an embedding: exemplar, select, feed back, segment.

Each takes what is known of every concept in an image (`crowds`) and adds to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank
from ipseg.crowd import Boxes, Crowd
from ipseg.methods.persense import similarity
from ipseg.methods.persense.box_features import BoxFeatures
from ipseg.methods.persense.decoding import once, refined
from ipseg.methods.persense.exemplar import initial_point
from ipseg.methods.persense.instances import distinct
from ipseg.methods.persense.merging import without_merged
from ipseg.methods.persense.persense import PerSense
from ipseg.methods.persense.ppsm import inside
from ipseg.methods.persense.shape import outlined, shape_of
from ipseg.methods.persense.target import TARGET
from ipseg.methods.persense.template import OUTLINE, PIXELS, located
from ipseg.objects import Object
from ipseg.rows import Image, Map, Mask, Row
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import Guidance
from ipseg.segmenters.refinement import Box, tight_box
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.geometry import resize_map

_SELECTABLE = 3  # exemplars beside the first, of which some are selected


@dataclass
class WithSimilarity(NetworkStep):
    """A step that looks at similarities over the image, and at its embedding.

    Attributes:
        segmenter: that encodes the image.
        settings: of the method.
        bank: what to look for.
        by_features: whether similarities come from extractors of their own, on a grid over the
            image; otherwise they are of the segmenter's features, over its square.
    """

    segmenter: Segmenter
    settings: PerSense
    bank: Bank
    by_features: bool

    requires: ClassVar[tuple[str, ...]] = ("image", "similarity", "crowds")
    provides: ClassVar[tuple[str, ...]] = ("crowds",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Replaces the `crowds` whose search is not over."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [
            {**row, "crowds": list(self._crowds(row, embedding))}
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _crowds(self, row: Row, embedding: Any) -> Iterator[Crowd]:  # noqa: ANN401
        for crowd, grid in zip(row["crowds"], row["similarity"], strict=True):
            yield crowd if crowd.ended else self.crowd(row, embedding, crowd, grid)

    def crowd(self, row: Row, embedding: Any, crowd: Crowd, grid: Map) -> Crowd:  # noqa: ANN401
        """What is known of a concept after this step."""
        raise NotImplementedError

    def over_image(self, row: Row, embedding: Any, grid: Map) -> Map:  # noqa: ANN401
        """(H, W) similarity."""
        if self.by_features:
            return resize_map(grid, row["image"].shape[:2])
        return similarity.over_image(self.segmenter, embedding, grid)

    def guidance(self, crowd: Crowd, grid: Map, full: Map) -> Guidance | None:
        """Of the decoder, from the segmenter's own features."""
        if self.by_features:
            return None
        attention = similarity.attention(full, grid, self.settings.attention_map)
        return Guidance(attention, self.bank.features(crowd.concept)[TARGET])


@dataclass
class FirstExemplar(WithSimilarity):
    """The box of one instance, grown from its point."""

    name: ClassVar[str] = "exemplar"

    def crowd(self, row: Row, embedding: Any, crowd: Crowd, grid: Map) -> Crowd:  # noqa: ANN401
        """With one exemplar."""
        if self.settings.first_exemplar == "prompt":
            return self._of_prompt(row["image"], crowd)
        full = self.over_image(row, embedding, grid)
        box = None if crowd.named is None else crowd.named[0]
        point = initial_point(full, box, self.settings.initial_point)
        guidance = self.guidance(crowd, grid, full)
        (found,) = refined(self.segmenter, embedding, np.array([point]), guidance)
        tight = tight_box(found.masks[0])
        if tight is None:
            return crowd.over("empty first mask")
        return replace(crowd, exemplars=tight[None], shape=shape_of([found.masks[0]]))

    def _of_prompt(self, image: Image, crowd: Crowd) -> Crowd:
        """The same by the prompt's own pixels."""
        features = self.bank.features(crowd.concept)
        place = located(
            image,
            features[PIXELS],
            features[OUTLINE] > 0,
            least=self.settings.least_likeness,
            turns=self.settings.turns,
        )
        if place is None:
            return crowd.over("prompt not found")
        return replace(crowd, exemplars=place.box[None], shape=shape_of([place.outline]))


@dataclass
class Select(WithSimilarity):
    """Which points are kept.

    Attributes:
        last: whether it is the pass whose points become instances.
    """

    last: bool

    name: ClassVar[str] = "select"

    def crowd(self, row: Row, embedding: Any, crowd: Crowd, grid: Map) -> Crowd:  # noqa: ANN401
        """With the points that are kept."""
        ppsm, points = self.settings.ppsm, crowd.points
        full = self.over_image(row, embedding, grid)
        kept = ppsm.kept(full, points, crowd.gate, crowd.count)
        if kept.any():
            return crowd.at(kept)
        crowd = crowd.noted("no point kept")
        if self.last:
            return crowd  # all of them
        if ppsm.ppsm_fallback_first_pass == "released":  # noqa: S105
            return crowd.at(kept)
        within = inside(points, crowd.gate)
        return crowd.at(within) if within.any() else crowd


@dataclass
class FeedBack(WithSimilarity):
    """The best masks of the first pass become exemplars.

    Attributes:
        most: exemplars that the counter takes.
        boxes: what exemplars of different sizes are compared by; None where the best are taken.
    """

    most: int
    boxes: BoxFeatures | None = None

    name: ClassVar[str] = "feedback"

    def crowd(self, row: Row, embedding: Any, crowd: Crowd, grid: Map) -> Crowd:  # noqa: ANN401
        """With its exemplars."""
        boxes, scores, masks = [crowd.exemplars[0]], [], []
        for mask, score in self._masks(row, embedding, crowd, grid):
            box = tight_box(mask)
            if box is not None:
                boxes.append(box)
                scores.append(score)
                masks.append(_cut(mask, box))
        chosen = self._chosen(row["image"], np.stack(boxes), scores)
        alike = [masks[index - 1] for index in chosen if index > 0]
        shape = shape_of(alike) if alike else crowd.shape
        return replace(crowd, exemplars=np.stack(boxes)[chosen], shape=shape)

    def _masks(
        self,
        row: Row,
        embedding: Any,  # noqa: ANN401
        crowd: Crowd,
        grid: Map,
    ) -> Iterator[tuple[Mask, float]]:
        if self.settings.outline == "exemplar" and crowd.around is not None and crowd.shape:
            for box in crowd.around:
                yield outlined(row["image"], crowd.shape, box)
            return
        full = self.over_image(row, embedding, grid)
        guidance = self.guidance(crowd, grid, full)
        for found in refined(self.segmenter, embedding, crowd.points, guidance):
            yield found.masks[0], float(found.predicted_iou[0])

    def _chosen(self, image: Image, boxes: Boxes, scores: Sequence[float]) -> list[int]:
        feedback = self.settings.feedback
        if self.boxes is None or feedback.selection == "score" or len(scores) < _SELECTABLE:
            return feedback.chosen(scores, self.most)
        (encoded,) = self.boxes.encode([image])
        features = self.boxes.pooled(encoded, boxes, (image.shape[0], image.shape[1]))
        others = (boxes[1:], np.asarray(scores), features[1:])
        return [1 + each for each in feedback.diverse.chosen(*others, features[0])][: self.most]


def _cut(mask: Mask, box: Box) -> Mask:
    x0, y0, x1, y1 = box.astype(int)
    return mask[y0 : y1 + 1, x0 : x1 + 1].copy()  # without the rest, which is as large as the image


@dataclass
class SegmentInstances(NetworkStep):
    """A mask for each point."""

    segmenter: Segmenter
    settings: PerSense

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image", "crowds")
    provides: ClassVar[tuple[str, ...]] = ("objects", "crowds")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`, the instances of each concept together; `crowds` have their last note."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        return [self._done(*each) for each in zip(rows, embeddings, strict=True)]

    def _done(self, row: Row, embedding: Any) -> Row:  # noqa: ANN401
        objects: list[Object] = []
        crowds = []
        for crowd in row["crowds"]:
            found = list(self._instances(row["image"], embedding, crowd))
            if self.settings.imrm:
                found = without_merged(found, crowd.named)
            found = distinct(found, self.settings.nms)
            objects += [replace(each, instance=number) for number, each in enumerate(found)]
            empty = not found and not crowd.ended
            crowds.append(crowd.over("empty final union") if empty else crowd)
        return {**row, "objects": objects, "crowds": crowds}

    def _instances(self, image: Image, embedding: Any, crowd: Crowd) -> Iterator[Object]:  # noqa: ANN401
        evidence = {"count": crowd.count, "density_sum": crowd.total}
        masks = self._masks(image, embedding, crowd)
        for point, (mask, predicted_iou) in zip(crowd.points, masks, strict=True):
            if mask.any():
                yield Object.of(
                    crowd.concept,
                    crowd.category_id,
                    mask,
                    min(1.0, max(0.0, predicted_iou)),  # a plain regression can leave [0, 1]
                    predicted_iou=predicted_iou,
                    evidence=evidence,
                    points=np.array([[*point, 1]], np.float32),
                )

    def _masks(self, image: Image, embedding: Any, crowd: Crowd) -> Iterator[tuple[Mask, float]]:  # noqa: ANN401
        """A mask for each point, and how good it is."""
        if self.settings.outline == "exemplar" and crowd.around is not None and crowd.shape:
            for box in crowd.around:
                yield outlined(image, crowd.shape, box)
            return
        for found in once(self.segmenter, embedding, crowd.points, self.settings.neighbours):
            yield found.masks[0], float(found.predicted_iou[0])
