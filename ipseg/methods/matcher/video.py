"""Matcher on videos: the objects of the examples, frame by frame.

prompts:  read -> decode -> support -> describe      => bank: tokens of each example, its cells
videos:   frames -> track                            => objects, one for each frame it is found in
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ipseg.bank import Bank, Entry
from ipseg.features.patch_tokens import PatchTokens, nearest_mask
from ipseg.features.similarity import unit
from ipseg.methods.matcher.matching import INSIDE, TOKENS, cells_inside
from ipseg.methods.matcher.method import AsksSegmenter, DescribeExample
from ipseg.methods.matcher.proposals import from_points, middles, mostly_inside
from ipseg.methods.matcher.sampling import clustered, drawn_for, generator_of, subsets
from ipseg.methods.matcher.scoring import purities
from ipseg.methods.matcher.settings import Proposals, Sampling, Tracking
from ipseg.methods.matcher.tracking import (
    Assigned,
    Reference,
    assigned,
    kept_scores,
    remembered,
    steady,
    voted,
)
from ipseg.methods.matcher.transport import likenesses
from ipseg.methods.matcher.wide import Wide
from ipseg.objects import Object
from ipseg.rows import Mask, Row, Step
from ipseg.segmenters.prompt import PointPrompt
from ipseg.steps.network_step import NetworkStep

LEAST_SHARE = 0.3  # of a cell's pixels: it is an object's


@dataclass(frozen=True)
class MatcherVideo(AsksSegmenter):
    """Matcher, for the frames of a folder in the order of their names.

    Attributes:
        tokens: what is matched.
        wide: how frames and examples lie in both networks.
        tracking: how objects are followed.
    """

    tokens: PatchTokens = field(default_factory=PatchTokens)
    wide: Wide = field(default_factory=Wide)
    tracking: Tracking = field(default_factory=Tracking)

    row_is: ClassVar[Literal["image", "sequence"]] = "sequence"

    @property
    def concepts_compete(self) -> bool:
        """See `Method.concepts_compete`."""
        return True

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample(self.tokens, self.wide, LEAST_SHARE)]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [Track(self.tokens, self.segmenter, self.wide, self.tracking, bank)]


@dataclass(frozen=True)
class Frame:
    """A frame in which objects are looked for.

    Attributes:
        index: in the sequence.
        tokens: (n, c) unit vectors.
        grid: rows and columns of its cells.
        embedding: of the segmenter.
        size: rows and columns of its masks, pixels.
    """

    index: int
    tokens: Tensor
    grid: tuple[int, int]
    embedding: Any
    size: tuple[int, int]


@dataclass(frozen=True)
class Sighting:
    """An object in a frame.

    Attributes:
        mask: (h, w) bool at the size of the segmenter's image.
        score: mean of what its masks are worth.
        evidence: of the best of them.
    """

    mask: Mask
    score: float
    evidence: dict[str, float]


@dataclass
class Track(NetworkStep):
    """The objects that a row asks for, in every frame; each frame is encoded once for all."""

    tokens: PatchTokens
    segmenter: Any  # a StreamingSegmenter
    wide: Wide
    tracking: Tracking
    bank: Bank

    name: ClassVar[str] = "track"
    requires: ClassVar[tuple[str, ...]] = ("frames",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`; none in a frame in which no mask of a concept is left."""
        return [{**row, "objects": list(self._objects(row))} for row in rows]

    def _objects(self, row: Row) -> Iterator[Object]:
        entries = self.bank.asked(row)
        if not entries:
            return
        examples = self._examples(entries)
        known: list[Reference] = []
        for index in range(len(row["frames"])):
            image = row["frames"][index]
            (patches,) = self.tokens.encode([image], self.wide)
            (embedding,) = self.segmenter.encode([patches.image])
            size = patches.image.shape[:2]
            frame = Frame(index, unit(patches.tokens), patches.grid, embedding, size)
            references = [*examples, *remembered(known, index, self.tracking)]
            found = self._look(entries, references, frame)
            inside = {
                name: cells_inside(each.mask, frame.grid, LEAST_SHARE)
                for name, each in found.items()
            }
            score = sum(each.score for each in found.values()) / len(entries)
            known.append(Reference(frame.tokens, inside, index, score))
            del known[: -int(self.tracking.decay) - 1]  # what is older counts nothing
            for entry in entries:
                if sighting := found.get(entry.concept):
                    mask = nearest_mask(sighting.mask, image.shape[:2])
                    if mask.any():
                        yield _object(entry, sighting, mask, index)

    def _examples(self, entries: Sequence[Entry]) -> list[Reference]:
        """One for each image in which there are examples, as of the objects of a first frame."""
        device = self.tokens.models.torch_device()
        found: dict[bytes, Reference] = {}
        for entry in entries:
            features = entry.features
            key = features[TOKENS].tobytes()
            if key not in found:
                tokens = torch.from_numpy(features[TOKENS].copy()).to(device)
                found[key] = Reference(tokens, {}, given=True)
            inside = {**found[key].inside, entry.concept: features[INSIDE]}
            found[key] = replace(found[key], inside=inside)
        return list(found.values())

    def _look(
        self, entries: Sequence[Entry], references: Sequence[Reference], frame: Frame
    ) -> dict[str, Sighting]:
        """Concept -> what is found of it; of pixels that several want, the last has them."""
        said: dict[str, list[Assigned]] = {entry.concept: [] for entry in entries}
        for reference in references:
            if not reference.inside:
                continue
            each = assigned(reference, frame.tokens, frame.grid, frame.index, self.tracking)
            for name, one in each.items():
                said[name].append(one)
        taken = np.zeros(frame.size, np.bool_)
        found: dict[str, Sighting] = {}
        for name in reversed(said):
            sighting = self._sighting(name, said[name], frame)
            mask = sighting.mask & ~taken
            taken |= mask
            if mask.any():
                found[name] = replace(sighting, mask=mask)
        return found

    def _sighting(self, name: str, said: Sequence[Assigned], frame: Frame) -> Sighting:
        """From what all references say of an object; the examples always do."""
        cells = voted(said, len(frame.tokens))
        rows, columns = (
            middles(side, count).numpy() for side, count in zip(frame.size, frame.grid, strict=True)
        )
        down, along = np.divmod(cells, frame.grid[1])
        points = np.stack([columns[along], rows[down]], axis=1)
        settings = self.tracking
        drawn = drawn_for(settings.seed, frame.index, name)
        centres, sizes = clustered(points, settings.centres, generator_of(drawn))
        groups = [
            [PointPrompt(each, np.ones(len(each), np.int8)) for each in group]
            for group in subsets(
                steady(centres, sizes).numpy(), Sampling(None, 1, settings.together), drawn
            )
        ]
        pool = from_points(
            self.segmenter, frame.embedding, groups, Proposals(), frame.grid, mostly_inside
        )
        likeness = np.max([likenesses(pool.cells, each.costs) for each in said], axis=0)
        purity, coverage = purities(pool, cells)
        total = settings.alpha * likeness + purity * coverage
        best = kept_scores(likeness, total, settings)
        values = {"likeness": likeness, "purity": purity, "coverage": coverage}
        evidence = {what: float(each[best[0]]) for what, each in values.items()}
        return Sighting(pool.union(best), float(total[best].mean()), evidence)


def _object(entry: Entry, found: Sighting, mask: Mask, index: int) -> Object:
    return Object.of(
        entry.concept,
        entry.category_id,
        mask,
        min(1.0, found.score),
        frame=index,
        evidence=found.evidence,
    )
