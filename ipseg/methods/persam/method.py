"""PerSAM and PerSAM-F as methods: one image with the object of a concept, no training of SAM.

prompts:  read -> decode -> support -> describe      => bank: target, and weights of PerSAM-F
images:   read -> decode -> segment                  => objects, one for each concept
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank, Entry
from ipseg.errors import ConfigError
from ipseg.methods.method import Method
from ipseg.methods.persam.location import Location
from ipseg.methods.persam.persam import PerSAM
from ipseg.methods.persam.persam_f import PerSAMF, TunedReference
from ipseg.methods.persam.reference import Reference
from ipseg.objects import Object
from ipseg.rows import Image, Row, Step
from ipseg.segmenters import GuidedSegmenter, Segmenter
from ipseg.segmenters.prompt import Decoded
from ipseg.segmenters.refinement import TOGETHER
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import read_soft_mask


@dataclass(frozen=True)
class PerSAMMethod(Method):
    """PerSAM.

    Attributes:
        segmenter: the released SAM, whose mask decoder can be guided.
        persam: the method's own settings.
    """

    segmenter: Segmenter
    persam: PerSAM = field(default_factory=PerSAM)

    def __post_init__(self) -> None:
        if not isinstance(self.segmenter, GuidedSegmenter):
            raise ConfigError(
                f"PerSAM guides the mask decoder of SAM, which {type(self.segmenter).__name__} "
                f"does not have: set segmenter.kind=segment_anything"
            )

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeTarget(self.segmenter, self.persam)]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [SegmentTargets(self.segmenter, self.persam, bank)]


@dataclass(frozen=True)
class PerSAMFMethod(PerSAMMethod):
    """PerSAM-F. Several prompts of a concept are averaged, their tuned weights too."""

    persam: PerSAMF = field(default_factory=PerSAMF)  # type: ignore[assignment]  # of its own


@dataclass
class DescribeTarget(NetworkStep):
    """The feature of a prompt's object; PerSAM-F tunes its weights on the prompt, too."""

    segmenter: Any  # a GuidedSegmenter
    persam: PerSAM | PerSAMF

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `target` (c,), and `weights` (3,) of PerSAM-F."""
        embeddings = self.segmenter.encode([row["image"] for row in rows])
        masks = [read_soft_mask(row["support_mask"]) > 0.5 for row in rows]
        return [
            {**row, "prompt_features": vars(self.persam.describe(self.segmenter, embedding, mask))}
            for row, embedding, mask in zip(rows, embeddings, masks, strict=True)
        ]


@dataclass
class SegmentTargets(SegmentStep):
    """One mask for each concept that a row asks for; the image is encoded once for all."""

    segmenter: Any  # a GuidedSegmenter
    persam: PerSAM | PerSAMF
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """See `SegmentStep.encode`."""
        return self.segmenter.encode(images)

    def objects(self, row: Row, encoded: Any) -> Iterator[Object]:  # noqa: ANN401
        """None for a concept whose mask is empty."""
        entries = self.bank.asked(row)
        kind = TunedReference if isinstance(self.persam, PerSAMF) else Reference
        references: list[Any] = [kind(**entry.features) for entry in entries]
        locations = self.persam.locate(self.segmenter, encoded, references)
        # In small batches: the masks of hundreds of concepts on a large image take much memory.
        for start in range(0, len(entries), TOGETHER):
            part = slice(start, start + TOGETHER)
            found = self.persam.segment(self.segmenter, encoded, references[part], locations[part])
            for entry, location, answer in zip(entries[part], locations[part], found, strict=True):
                if answer.masks[0].any():
                    yield _object(entry, location, answer)


def _object(entry: Entry, location: Location, answer: Decoded) -> Object:
    predicted_iou = float(answer.predicted_iou[0])
    return Object.of(
        entry.concept,
        entry.category_id,
        answer.masks[0],
        min(1.0, max(0.0, predicted_iou)),  # a plain regression can leave [0, 1]
        predicted_iou=predicted_iou,
        evidence={"similarity_max": float(location.cosines.max())},
        points=np.column_stack([location.prompt.coords, location.prompt.labels]).astype(np.float32),
    )
