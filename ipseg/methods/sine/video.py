"""SINE on videos: the objects of the examples, frame by frame, with a memory of those before.

prompts:  read -> decode -> support -> describe      => bank: pooled features of each example
videos:   frames -> track                            => objects, one for each frame it is found in
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ipseg.bank import Bank, Entry
from ipseg.errors import ImageError
from ipseg.methods.sine.answers import Overlaps, identities, owners
from ipseg.methods.sine.canvas import Canvas, Fit, Size, View
from ipseg.methods.sine.memory import Memory, Remembering
from ipseg.methods.sine.method import PooledExamples
from ipseg.methods.sine.mformer import Target
from ipseg.methods.sine.network import Encoded, SineNetwork
from ipseg.methods.sine.pooling import Pooled, pool
from ipseg.methods.sine.settings import Asking, Identity
from ipseg.methods.sine.steps import pooled_of
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Image, Row, Step
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.video import VideoFrames


@dataclass(frozen=True)
class VideoAsking(Asking):
    """As released, but where masks overlap the best one wins, not the last."""

    concepts: Literal["apart", "together"] = "together"
    overlaps: Overlaps = "best"


@dataclass(frozen=True)
class VideoCanvas(Canvas):
    """As released."""

    side: Annotated[int, Field(gt=0)] = 1036
    fit: Fit = "video"


@dataclass(frozen=True)
class SineVideo(PooledExamples):
    """SINE, for the frames of a folder in the order of their names.

    An object is looked for from the first frame on that a row asks for it, from the very first one
    where it does not say.

    Attributes:
        identity: which objects are taken for absent.
        memory: which frames are remembered.
    """

    canvas: VideoCanvas = field(default_factory=VideoCanvas)
    asking: VideoAsking = field(default_factory=VideoAsking)
    identity: Identity = field(default_factory=Identity)
    memory: Remembering = field(default_factory=Remembering)

    row_is: ClassVar[Literal["image", "sequence"]] = "sequence"
    published_as: ClassVar[str] = "SINE"

    def __post_init__(self) -> None:
        self.asking.check("identity")

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [Track(self.network, self.canvas, self.asking, self.identity, self.memory, bank)]


@dataclass(frozen=True)
class Seen:
    """What was found of an object in a frame, for those who pool it later.

    Attributes:
        frame: its index.
        mask: (h, w) bool.
    """

    frame: int
    mask: Tensor


Kept = Pooled | Seen


@dataclass
class Track(NetworkStep):
    """The objects that a row asks for, in every frame; each frame is encoded once for all."""

    network: SineNetwork
    canvas: Canvas
    asking: Asking
    identity: Identity
    memory: Remembering
    bank: Bank

    name: ClassVar[str] = "track"
    requires: ClassVar[tuple[str, ...]] = ("frames",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks", "frame_uris")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`; none in a frame in which nothing was found of a concept."""
        return [{**row, "objects": list(self._objects(row))} for row in rows]

    @torch.inference_mode()
    def _objects(self, row: Row) -> Iterator[Object]:
        entries = self.bank.asked(row)
        if not entries:
            return
        starts = _starts(row, entries)
        numbers = self._numbers(row)
        device = self.network.models.torch_device()
        memories: list[Memory[Kept]] = [
            Memory(self.memory, pooled_of(entry, device), numbers[starts[entry.concept]])
            for entry in entries
        ]
        known = dict(zip((entry.concept for entry in entries), memories, strict=True))
        for index, frame, encoded in self._encoded(row["frames"]):
            present = [entry for entry in entries if starts[entry.concept] <= index]
            if not present:
                continue
            size = self.canvas.between(*frame.shape[:2])
            target = self.network.mformer.target(encoded.features)
            together = self.asking.concepts == "together"
            for group in [present] if together else [[entry] for entry in present]:
                looked_for = [known[entry.concept] for entry in group]
                found = self._look(looked_for, row, target, encoded.view, size)
                for entry, each in zip(group, found, strict=True):
                    if self.memory.from_first or index > starts[entry.concept]:
                        kept = self._kept(index, each.own, encoded)
                        known[entry.concept].push(numbers[index], each.score, kept)
                    if each.presence >= self.identity.min_presence and each.mask.any():
                        yield _object(entry, each, index, frame.shape[:2])

    def _encoded(self, frames: Sequence[Image]) -> Iterator[tuple[int, Image, Encoded]]:
        """Index, pixels and features of each frame; a few at a time, whatever there are."""
        batch = self.network.batch
        for start in range(0, len(frames), batch):
            images = [frames[i] for i in range(start, min(start + batch, len(frames)))]
            encoded = self.network.encode(images, self.canvas)
            yield from zip(range(start, start + batch), images, encoded, strict=False)

    def _look(
        self, memories: Sequence[Memory[Kept]], row: Row, target: Target, view: View, size: Size
    ) -> list[Sighting]:
        """Each object in a frame, in order."""
        references = [
            Pooled.of([self._pooled(kept, row) for kept in memory]).together for memory in memories
        ]
        prediction = self.network.mformer.identify(
            target, torch.stack(references), self.asking.attention_mask
        )
        rule = self.asking.overlaps
        owner = None if rule == "keep" else owners(prediction, view, size, rule)
        return [
            Sighting(
                each.probability,
                each.outline,
                each.mask,
                each.mask if owner is None else each.mask & (owner == each.number),
            )
            for each in identities(prediction, view, size)
        ]

    def _kept(self, index: int, mask: Tensor, encoded: Encoded) -> Kept:
        if self.memory.encode == "again":
            return Seen(index, mask)
        return self._pool(mask, encoded)

    def _pooled(self, kept: Kept, row: Row) -> Pooled:
        if isinstance(kept, Pooled):
            return kept
        (encoded,) = self.network.encode([row["frames"][kept.frame]], self.canvas)
        return self._pool(kept.mask, encoded)

    def _pool(self, mask: Tensor, encoded: Encoded) -> Pooled:
        placed = self.canvas.place_mask(mask.cpu().numpy(), encoded.view)
        return pool(encoded.features, placed.to(encoded.features.device)[None])

    def _numbers(self, row: Row) -> list[int]:
        """Of the frames, in the unit of the decay.

        Raises:
            ImageError: file names have no numbers, or these do not go up; says how to do without.
        """
        if self.memory.unit == "index" or isinstance(row["frames"], VideoFrames):
            return list(range(len(row["frames"])))
        numbers: list[int] = []
        for uri in row["frame_uris"]:
            digits = re.findall(r"\d+", PurePosixPath(uri).stem)
            if not digits:
                raise ImageError(f"{uri} has no number in its name: set memory.unit=index")
            number = int(digits[-1])
            if numbers and number <= numbers[-1]:
                raise ImageError(
                    f"{uri} has number {number}, but the frame before it has {numbers[-1]}: "
                    "set memory.unit=index"
                )
            numbers.append(number)
        return numbers


@dataclass(frozen=True)
class Sighting:
    """An object in a frame.

    Attributes:
        presence: probability that it is there, in [0, 1].
        outline: mean probability of the pixels of its mask, in [0, 1].
        own: (h, w) bool mask, on the way between frame and canvas.
        mask: the same without the pixels that other objects have.
    """

    presence: float
    outline: float
    own: Tensor
    mask: Tensor

    @property
    def score(self) -> float:
        """Presence times outline."""
        return self.presence * self.outline


def _object(entry: Entry, found: Sighting, index: int, shape: Size) -> Object:
    """At the size of the frame, by its nearest pixels, as released."""
    mask = functional.interpolate(found.mask[None, None].float(), shape, mode="nearest")[0, 0] > 0
    return Object.of(
        entry.concept,
        entry.category_id,
        mask.cpu().numpy(),
        found.score,
        frame=index,
        evidence={PRESENCE: found.presence, "outline": found.outline},
    )


def _starts(row: Row, entries: Sequence[Entry]) -> dict[str, int]:
    """Concept -> the first frame that it is asked for."""
    starts: dict[str, int] = {}
    for ask in row.get("asks") or ():
        first = ask.get("frame") or 0
        starts[ask["concept"]] = min(first, starts.get(ask["concept"], first))
    return {entry.concept: starts.get(entry.concept, 0) for entry in entries}
