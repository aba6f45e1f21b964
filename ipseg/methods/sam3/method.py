"""SAM 3 by example as a method: example and image on one canvas.

prompts:  read -> decode -> support -> describe      => bank: each example, its box, the name
images:   read -> decode -> segment                  => objects

Every concept makes a canvas of its own, so an image is encoded once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image as PillowImage

from ipseg.bank import Bank, Entry
from ipseg.errors import PromptError
from ipseg.methods.method import Method
from ipseg.methods.sam3.answers import Answer, example_iou
from ipseg.methods.sam3.canvas import Boxes, Canvas
from ipseg.methods.sam3.network import NO_NAME, Sam3Network
from ipseg.objects import Object
from ipseg.rows import Arrays, Image, Row, Step
from ipseg.steps.name import kept_name, words_for
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask

_KEPT_SIDE = 1008  # pixels that an example has at most; the canvas has no more
_BOXES, _IMAGE = "boxes", "image"


@dataclass(frozen=True)
class Sam3Method(Method):
    """SAM 3 by example (FSS-SAM3, arXiv 2604.05433).

    Attributes:
        sam3: the weights.
        canvas: where examples and image lie.
        answer: what becomes of what is found.
        text: whether the concept's name is read as well. With `none`, as for methods that see no
            name, the network reads "visual".
        names: name of a concept -> what is read in its place.
    """

    sam3: Sam3Network = field(default_factory=Sam3Network)
    canvas: Canvas = field(default_factory=Canvas)
    answer: Answer = field(default_factory=Answer)
    text: Literal["none", "name"] = "none"
    names: dict[str, str] = field(default_factory=dict)

    # The image gets most of the canvas: masks are decided at a quarter of its resolution.
    labels_with: ClassVar[tuple[str, ...]] = ("answer.task=instance", "canvas.share_of_one=0.3")

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample()]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`: all examples, in their order."""
        images = {f"{_IMAGE} {number}": s[f"{_IMAGE} 0"] for number, s in enumerate(shots)}
        return {**shots[0], **images, _BOXES: np.concatenate([each[_BOXES] for each in shots])}

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        names = self.names if self.text == "name" else None
        return [SegmentByExample(self.sam3, self.canvas, self.answer, names, bank)]


@dataclass
class DescribeExample(Step):
    """The example itself, the tight box of its object, and its name."""

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask", "concept")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `image 0` (h, w, 3) uint8, `boxes` (1, 4) in shares, `name`.

        Raises:
            PromptError: no pixel is more object than not.
        """
        return [{**row, "prompt_features": self._features(row)} for row in rows]

    def _features(self, row: Row) -> Arrays:
        mask = read_soft_mask(row["support_mask"]) > 0.5
        if not mask.any():
            raise PromptError(f"nothing of {row['uri']} is more object than not: give it a mask")
        box = _tight(mask)
        return {f"{_IMAGE} 0": _kept(row["image"]), _BOXES: box[None], **kept_name(row)}


def _tight(mask: np.ndarray[Any, Any]) -> Boxes:
    """(4,) x, y, x, y of a (H, W) mask that is not empty, ends excluded, in shares of its sides."""
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    height, width = mask.shape
    corners = [columns[0] / width, rows[0] / height]
    return np.array([*corners, (columns[-1] + 1) / width, (rows[-1] + 1) / height], np.float32)


def _kept(image: Image) -> Image:
    """The image, or a smaller one that the canvas cannot show more of."""
    height, width = image.shape[:2]
    size = (min(width, _KEPT_SIDE), min(height, _KEPT_SIDE))
    if size == (width, height):
        return np.ascontiguousarray(image)
    small = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
    return np.asarray(small)


@dataclass
class SegmentByExample(NetworkStep):
    """What looks like the example, for each concept that a row asks for.

    Attributes:
        sam3: the weights.
        canvas: where examples and image lie.
        answer: what becomes of what is found.
        names: see `Sam3Method.names`; None reads no name.
        bank: what to look for.
    """

    sam3: Sam3Network
    canvas: Canvas
    answer: Answer
    names: Mapping[str, str] | None
    bank: Bank

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`; none for a concept of which nothing is found on the image."""
        batch = [row["image"] for row in rows]
        return [
            {
                **row,
                "objects": [
                    found
                    for entry in self.bank.asked(row)
                    for found in self._objects(entry, row["image"], batch)
                ],
            }
            for row in rows
        ]

    def _objects(self, entry: Entry, image: Image, batch: Sequence[Image]) -> Iterator[Object]:
        features = entry.features
        inside: Boxes = features[_BOXES]
        examples = [features[f"{_IMAGE} {number}"] for number in range(len(inside))]
        layout = self.canvas.layout(len(examples), self.sam3.side)
        encoded = self.sam3.encode(layout.paste(examples, image), batch)
        boxes = layout.boxes(inside)
        caption = NO_NAME if self.names is None else words_for(entry, self.names)
        found = self.sam3.find(encoded, boxes, caption, self.answer.threshold)
        fit = {"example_iou": example_iou(found, boxes)}
        size = image.shape[:2]
        for number, (mask, score) in enumerate(self.answer.masks(found, layout, size)):
            yield Object.of(
                entry.concept, entry.category_id, mask, score, instance=number, evidence=fit
            )
