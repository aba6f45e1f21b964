"""Grounded-SAM as a method: boxes of what a name says, and a mask in each.

prompts:  describe                                   => bank: the name alone
images:   read -> decode -> segment                  => objects, and why there are none

Source: Grounded-SAM (Ren et al., arXiv 2401.14159), facts about its released demos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torchvision.ops import nms  # type: ignore[import-untyped]

from ipseg.bank import Bank, Entry
from ipseg.crowd import Crowd
from ipseg.detectors import Detections, Detector
from ipseg.errors import ConfigError
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Arrays, Row, Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.segmenters.refinement import TOGETHER, decode_all, refine
from ipseg.steps.name import DescribeName, words_for
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import encode_rle


@dataclass(frozen=True)
class Grounding:
    """What becomes of boxes.

    Attributes:
        task: `semantic`: one mask of all boxes together; `instance`: a mask for each.
        nms: boxes of a concept that overlap a better one by more (IoU) are left out; 1 keeps all,
            as the released command-line demo does.
        masks: `best`: the one of three candidates with the highest predicted IoU, as in the
            released simple demo; `single`: the one candidate for prompts with many points, as in
            the command-line demo.
    """

    task: Literal["semantic", "instance"] = "semantic"
    nms: Annotated[float, Field(ge=0, le=1)] = 0.8
    masks: Literal["best", "single"] = "best"


@dataclass(frozen=True)
class GroundedSamMethod(Method):
    """Grounded-SAM. Each concept is a caption of its own, so none changes what others get.

    Attributes:
        segmenter: boxes to masks.
        detector: finds names in an image.
        grounding: the method's own settings.
        names: name of a concept -> what the detector is asked for in its place.
    """

    segmenter: Segmenter
    detector: Detector
    grounding: Grounding = field(default_factory=Grounding)
    names: dict[str, str] = field(default_factory=dict)

    prompted_by: ClassVar[Literal["image", "name"]] = "name"
    labels_with: ClassVar[tuple[str, ...]] = ("grounding.task=instance",)

    def __post_init__(self) -> None:
        if not self.segmenter.takes_boxes:
            raise ConfigError(
                f"Grounded-SAM gives boxes to its segmenter, which "
                f"{type(self.segmenter).__name__} does not take: set "
                f"segmenter.kind=segment_anything or hf_sam"
            )

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeName()]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`: all prompts of a concept have its name."""
        return shots[0]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [SegmentNamed(self.segmenter, self.detector, self.grounding, self.names, bank)]


@dataclass
class SegmentNamed(NetworkStep):
    """A mask for each box in which the name of a concept is found."""

    segmenter: Segmenter
    detector: Detector
    grounding: Grounding
    names: Mapping[str, str]
    bank: Bank

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects", "crowds")
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`; and `crowds`, with boxes, and why nothing was found."""
        images = [row["image"] for row in rows]
        encoded = self.detector.encode(images)
        named = [
            [(entry, self._boxes(entry, each)) for entry in self.bank.asked(row)]
            for row, each in zip(rows, encoded, strict=True)
        ]
        embeddings: list[Any] = [None] * len(rows)
        if any(len(boxes.boxes) for each in named for _, boxes in each):
            embeddings = self.segmenter.encode(images)
        done = []
        for row, each, embedding in zip(rows, named, embeddings, strict=True):
            objects: list[Object] = []
            crowds = []
            for entry, boxes in each:
                found = list(self._instances(entry, boxes, embedding))
                if found and self.grounding.task == "semantic":
                    found = [_united(found)]
                objects += [replace(o, instance=number) for number, o in enumerate(found)]
                crowds.append(_crowd(entry, boxes, found))
            done.append({**row, "objects": objects, "crowds": crowds})
        return done

    def _boxes(self, entry: Entry, encoded: Any) -> Detections:  # noqa: ANN401
        """Of a concept's name, the most certain first."""
        found = self.detector.detect(encoded, words_for(entry, self.names))
        boxes, scores = (torch.from_numpy(each) for each in (found.boxes, found.scores))
        kept = nms(boxes, scores, self.grounding.nms).numpy()  # the best first
        return Detections(found.boxes[kept], found.scores[kept])

    def _instances(self, entry: Entry, found: Detections, embedding: Any) -> Iterator[Object]:  # noqa: ANN401
        for start in range(0, len(found.boxes), TOGETHER):
            part = slice(start, start + TOGETHER)
            decoded = self._decoded(embedding, found.boxes[part])
            for score, answer in zip(found.scores[part], decoded, strict=True):
                if answer.masks[0].any():
                    yield Object.of(
                        entry.concept,
                        entry.category_id,
                        answer.masks[0],
                        float(score),
                        predicted_iou=float(answer.predicted_iou[0]),
                    )

    def _decoded(self, embedding: Any, boxes: np.ndarray[Any, Any]) -> list[Decoded]:  # noqa: ANN401
        nowhere = np.zeros((0, 2), np.float32), np.zeros(0, np.int8)
        prompts = [PointPrompt(*nowhere, box.astype(np.float64)) for box in boxes]
        if self.grounding.masks == "best":
            return refine(self.segmenter, embedding, prompts)
        return decode_all(self.segmenter, embedding, prompts, multimask=False)


def _united(found: Sequence[Object]) -> Object:
    """One object of several, with the numbers of the first."""
    mask = found[0].mask
    for each in found[1:]:
        mask = mask | each.mask
    return replace(found[0], segmentation=encode_rle(mask))


def _crowd(entry: Entry, boxes: Detections, found: Sequence[Object]) -> Crowd:
    """The boxes of a concept, and why there is no object."""
    crowd = Crowd(entry.concept, entry.category_id, named=boxes.boxes.astype(np.float64))
    if not len(boxes.boxes):
        return crowd.over("no grounding box")
    return crowd if found else crowd.over("empty final union")
