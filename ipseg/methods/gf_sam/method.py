"""GF-SAM as a method: no parameter, one example with its mask.

prompts:  read -> decode -> support -> describe      => bank: directions of each object's cells
images:   read -> decode -> segment                  => objects, one for each concept
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipseg.bank import Bank, Entry
from ipseg.features.patch_tokens import Patches, PatchTokens, Square
from ipseg.methods.gf_sam.gates import clusters, consistent, coverage, positive_gate, selected
from ipseg.methods.gf_sam.masks import masks_of
from ipseg.methods.gf_sam.points import alignment, point_cells
from ipseg.methods.gf_sam.priors import described, directions, merged, priors
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Arrays, Image, Mask, Row, Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.stream import check_streams
from ipseg.steps.describe import DescribePatches
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import resized


@dataclass(frozen=True)
class GFSAMMethod(Method):
    """GF-SAM (Zhang et al., NeurIPS 2024).

    Attributes:
        segmenter: of the SAM family.
        tokens: what examples and images are compared by.
        square: how images lie in both networks.
    """

    segmenter: Segmenter
    tokens: PatchTokens = field(default_factory=PatchTokens)
    square: Square = field(default_factory=lambda: Square(frame=1024))

    def __post_init__(self) -> None:
        check_streams(self.segmenter, "GF-SAM")

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample(self.tokens, self.square)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`."""
        return merged(shots)

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [SegmentAligned(self.tokens, self.segmenter, self.square, bank)]


@dataclass
class DescribeExample(DescribePatches):
    """The directions of the cells of an example's object."""

    def of_patches(self, patches: Patches, mask: Mask) -> Arrays:
        """See `priors.described`."""
        return described(patches.tokens, mask)


@dataclass
class SegmentAligned(SegmentStep):
    """One mask for each concept that a row asks for; the image is encoded once for all."""

    tokens: PatchTokens
    segmenter: Any  # a StreamingSegmenter
    square: Square
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """Patches and embedding of each image."""
        encoded = self.tokens.encode(images, self.square)
        embeddings = self.segmenter.encode([each.image for each in encoded])
        return list(zip(encoded, embeddings, strict=True))

    def objects(self, row: Row, encoded: tuple[Patches, Any]) -> Iterator[Object]:
        """See `SegmentStep`; none for a concept that no cell is like, or whose mask is empty."""
        patches, embedding = encoded
        image = directions(patches.tokens)
        for entry in self.bank.asked(row):
            found = self._object(entry, image, embedding, row["image"].shape[:2])
            if found is not None:
                yield found

    def _object(
        self,
        entry: Entry,
        image: Any,  # noqa: ANN401
        embedding: Any,  # noqa: ANN401
        size: tuple[int, int],
    ) -> Object | None:
        grid, frame = round(len(image) ** 0.5), self.square.frame
        known = priors(entry.features, image)
        cells = point_cells(alignment(known), grid).cpu()
        if not len(cells):
            return None
        points = (cells.double() * frame / grid).long().numpy()  # the first pixel of each cell
        masks = masks_of(self.segmenter, embedding, points, frame, grid)
        labels = clusters(coverage(masks, cells, grid))
        gated = positive_gate(masks, labels, known)
        stable = consistent(masks, labels, cells, image)
        best = selected(gated.accepted, stable, gated.otherwise)
        height, width = size
        mask = resized(masks.union(best), (width, height))
        if not mask.any():
            return None
        likeness = known.positive_max.cpu()[cells[best, 1] * grid + cells[best, 0]].clamp(0, 1)
        to_image = np.array([width, height]) / frame
        marks = np.column_stack([(points + 0.5) * to_image, np.ones(len(points))])
        return Object.of(
            entry.concept,
            entry.category_id,
            mask,
            float(likeness.mean()),
            predicted_iou=float(masks.predicted_iou[best].mean()),
            evidence={
                "points": float(len(points)),
                "clusters": float(labels.max() + 1),
                "both_gates": float((gated.accepted & stable).sum()),
            },
            points=marks.astype(np.float32),
        )
