"""The steps of PerSense: ground, first exemplar, count, select, feed back, segment.

Each takes what is known of every concept in an image (`crowds`) and adds to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank
from ipseg.counters import Counter
from ipseg.crowd import Crowd
from ipseg.detectors import Detector
from ipseg.methods.persense import similarity
from ipseg.methods.persense.decoding import once, refined
from ipseg.methods.persense.exemplar import initial_point
from ipseg.methods.persense.idm import InstanceDetection, to_levels
from ipseg.methods.persense.instances import distinct
from ipseg.methods.persense.merging import without_merged
from ipseg.methods.persense.names import plural
from ipseg.methods.persense.persense import PerSense
from ipseg.methods.persense.ppsm import PointSelection, inside
from ipseg.methods.persense.target import TARGET
from ipseg.objects import Object
from ipseg.rows import Map, Row, Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import Guidance
from ipseg.segmenters.refinement import tight_box
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.geometry import resize_map


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
    settings: PerSense
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
        name = self.settings.name_of(entry.concept)
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
        full = self.over_image(row, embedding, grid)
        box = None if crowd.named is None else crowd.named[0]
        point = initial_point(full, box, self.settings.initial_point)
        guidance = self.guidance(crowd, grid, full)
        (found,) = refined(self.segmenter, embedding, np.array([point]), guidance)
        tight = tight_box(found.masks[0])
        if tight is None:
            return crowd.over("empty first mask")
        return replace(crowd, exemplars=tight[None])


@dataclass
class Count(NetworkStep):
    """How many there are by the exemplars, and a point for each."""

    counter: Counter
    idm: InstanceDetection
    ppsm: PointSelection

    name: ClassVar[str] = "count"
    requires: ClassVar[tuple[str, ...]] = ("image", "crowds")
    provides: ClassVar[tuple[str, ...]] = ("crowds",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds counts and points to `crowds`."""
        encoded = self.counter.encode([row["image"] for row in rows])
        return [
            {**row, "crowds": [self._counted(row, each, crowd) for crowd in row["crowds"]]}
            for row, each in zip(rows, encoded, strict=True)
        ]

    def _counted(self, row: Row, encoded: Any, crowd: Crowd) -> Crowd:  # noqa: ANN401
        if crowd.ended:
            return crowd
        density = self.counter.count(encoded, crowd.exemplars)
        crowd = replace(crowd, count=float(density.count), total=density.total)
        if not density.map.max() > density.map.min():
            return crowd.over("empty density")
        if crowd.count <= 0:
            crowd = crowd.noted("count <= 0")
            if self.ppsm.ppsm_threshold == "fixed":
                return crowd.over("count <= 0")
        levels = to_levels(density.map, row["image"].shape[:2])
        points = self.idm.points(levels, self.counter.level)
        # The exemplars would be the same in the second pass, and so would be what it finds.
        return replace(crowd, points=points) if len(points) else crowd.over("no contour")


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
            return replace(crowd, points=points[kept])
        crowd = crowd.noted("no point kept")
        if self.last:
            return crowd  # all of them
        if ppsm.ppsm_fallback_first_pass == "released":  # noqa: S105
            return replace(crowd, points=points[:0])
        within = inside(points, crowd.gate)
        return replace(crowd, points=points[within] if within.any() else points)


@dataclass
class FeedBack(WithSimilarity):
    """The best masks of the first pass become exemplars.

    Attributes:
        most: exemplars that the counter takes.
    """

    most: int

    name: ClassVar[str] = "feedback"

    def crowd(self, row: Row, embedding: Any, crowd: Crowd, grid: Map) -> Crowd:  # noqa: ANN401
        """With its exemplars."""
        guidance = self.guidance(crowd, grid, self.over_image(row, embedding, grid))
        boxes, scores = [crowd.exemplars[0]], []
        for found in refined(self.segmenter, embedding, crowd.points, guidance):
            box = tight_box(found.masks[0])
            if box is not None:
                boxes.append(box)
                scores.append(float(found.predicted_iou[0]))
        chosen = self.settings.feedback.chosen(scores, self.most)
        return replace(crowd, exemplars=np.stack(boxes)[chosen])


@dataclass
class SegmentInstances(NetworkStep):
    """A mask for each point."""

    segmenter: Segmenter
    neighbours: int
    imrm: bool
    nms: float

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
            found = list(self._instances(embedding, crowd))
            if self.imrm:
                found = without_merged(found, crowd.named)
            found = distinct(found, self.nms)
            objects += [replace(each, instance=number) for number, each in enumerate(found)]
            empty = not found and not crowd.ended
            crowds.append(crowd.over("empty final union") if empty else crowd)
        return {**row, "objects": objects, "crowds": crowds}

    def _instances(self, embedding: Any, crowd: Crowd) -> Iterator[Object]:  # noqa: ANN401
        evidence = {"count": crowd.count, "density_sum": crowd.total}
        decoded = once(self.segmenter, embedding, crowd.points, self.neighbours)
        for point, answer in zip(crowd.points, decoded, strict=True):
            if answer.masks[0].any():
                predicted_iou = float(answer.predicted_iou[0])
                yield Object.of(
                    crowd.concept,
                    crowd.category_id,
                    answer.masks[0],
                    min(1.0, max(0.0, predicted_iou)),  # a plain regression can leave [0, 1]
                    predicted_iou=predicted_iou,
                    evidence=evidence,
                    points=np.array([[*point, 1]], np.float32),
                )
