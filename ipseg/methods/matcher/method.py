"""Matcher as a method: one example with its mask, masks of what has matching parts.

prompts:  read -> decode -> support -> describe      => bank: tokens of each example, its cells
images:   read -> decode -> segment                  => objects
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipseg.bank import Bank, Entry
from ipseg.features.patch_tokens import Patches, PatchTokens, Square
from ipseg.features.similarity import unit
from ipseg.methods.matcher.matching import Matches, cells_inside, described, match, merged
from ipseg.methods.matcher.proposals import (
    Cells,
    Pool,
    from_grid,
    from_points,
    middles,
    suppressed,
)
from ipseg.methods.matcher.sampling import Points, prompt_sets
from ipseg.methods.matcher.scoring import chosen, scored
from ipseg.methods.matcher.settings import Merging, Proposals, Sampling, Scoring
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Arrays, Image, Mask, Row, Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.stream import check_streams
from ipseg.steps.describe import DescribePatches
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import resized


@dataclass(frozen=True)
class AsksSegmenter(Method):
    """What Matcher's methods share.

    Attributes:
        segmenter: of the SAM family.
    """

    segmenter: Segmenter

    def __post_init__(self) -> None:
        check_streams(self.segmenter, "Matcher")

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`."""
        return merged(shots)


@dataclass(frozen=True)
class MatcherMethod(AsksSegmenter):
    """Matcher (Liu et al., ICLR 2024).

    Attributes:
        tokens: what is matched.
        square: how images lie in both networks.
        sampling: which points the segmenter is asked with.
        proposals: which of its masks are looked at.
        scoring: what they are worth.
        merging: which are the answer.
    """

    tokens: PatchTokens = field(default_factory=PatchTokens)
    square: Square = field(default_factory=Square)
    sampling: Sampling = field(default_factory=Sampling)
    proposals: Proposals = field(default_factory=Proposals)
    scoring: Scoring = field(default_factory=Scoring)
    merging: Merging = field(default_factory=Merging)

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample(self.tokens, self.square)]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        settings = (self.sampling, self.proposals, self.scoring, self.merging)
        return [SegmentMatches(self.tokens, self.segmenter, self.square, *settings, bank)]


@dataclass
class DescribeExample(DescribePatches):
    """The tokens of an example, and which of them are the object's."""

    least: float = 0.0  # share of a cell, see `cells_inside`

    def of_patches(self, patches: Patches, mask: Mask) -> Arrays:
        """`tokens` (n, c) float32, `inside` (n,) bool."""
        return described(patches.tokens, cells_inside(mask, patches.grid, self.least))


@dataclass
class SegmentMatches(SegmentStep):
    """What matches the concepts that a row asks for; the image is encoded once for all."""

    tokens: PatchTokens
    segmenter: Any  # a StreamingSegmenter
    square: Square
    sampling: Sampling
    proposals: Proposals
    scoring: Scoring
    merging: Merging
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """Patches and embedding of each image."""
        encoded = self.tokens.encode(images, self.square)
        embeddings = self.segmenter.encode([each.image for each in encoded])
        return list(zip(encoded, embeddings, strict=True))

    def objects(self, row: Row, encoded: tuple[Patches, Any]) -> Iterator[Object]:
        """See `SegmentStep`; none for a concept for which no mask is left."""
        patches, embedding = encoded
        entries = self.bank.asked(row)
        if not entries:
            return
        tokens, cells = unit(patches.tokens), patches.grid
        grid = self.proposals.grid
        common: list[Pool] = []  # what is proposed whatever is looked for
        if grid is not None:
            common = [from_grid(self.segmenter, embedding, grid, self.square.frame, cells)]
        for entry in entries:
            matches = match(entry.features, tokens)
            points = self._points(matches, cells)
            groups = prompt_sets(points, self.sampling, entry.concept)
            found = from_points(self.segmenter, embedding, groups, self.proposals, cells)
            pool = suppressed(Pool.of([*common, found]), self.proposals.nms)
            if pool.masks:
                yield from self._answers(entry, matches, pool, points, row["image"].shape[:2])

    def _points(self, matches: Matches, cells: Cells) -> Points:
        """(n, 2) x, y in pixels of the square."""
        rows, columns = (middles(self.square.frame, count).numpy() for count in cells)
        down, along = np.divmod(matches.cells, cells[1])
        return np.stack([columns[along], rows[down]], axis=1)

    def _answers(
        self, entry: Entry, matches: Matches, pool: Pool, points: Points, size: tuple[int, int]
    ) -> Iterator[Object]:
        height, width = size
        to_image = np.array([width, height]) / self.square.frame
        marks = np.column_stack([(points + 0.5) * to_image, np.ones(len(points))])
        scores = scored(pool, matches, self.scoring, self.merging)
        best = chosen(scores.total, self.merging)
        instance = 0
        for part in [best] if self.merging.objects == "union" else best[:, None]:
            mask = resized(pool.union(scores.number[part]), (width, height))
            if mask.any():
                first = part[0]
                yield Object.of(
                    entry.concept,
                    entry.category_id,
                    mask,
                    min(1.0, float(scores.total[first])),
                    predicted_iou=float(pool.predicted_iou[scores.number[first]]),
                    instance=instance,
                    evidence={
                        "likeness": float(scores.likeness[first]),
                        "purity": float(scores.purity[first]),
                        "coverage": float(scores.coverage[first]),
                    },
                    points=marks.astype(np.float32),
                )
                instance += 1
