"""GroupViT as a method: pixels whose group a name fits best.

prompts:  describe                                   => bank: the name alone
images:   read -> decode -> segment                  => objects, one for each concept

Source: GroupViT (Xu et al., CVPR 2022), facts about its released evaluation of segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ipseg.bank import Bank, Entry
from ipseg.errors import ConfigError
from ipseg.methods.groupvit.fitting import fitting, owners
from ipseg.methods.groupvit.network import Grouped, GroupVitNetwork
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Arrays, Image, Row, Step
from ipseg.steps.name import DescribeName, spoken, words_for
from ipseg.steps.segment import SegmentStep

_VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa"),
    *("train", "television"),
)


@dataclass(frozen=True)
class Naming:
    """How names compete for pixels.

    Attributes:
        concepts: `apart`: each competes with `others` alone, so that what is found of one does not
            depend on the rest; `together`: with all that a row is asked for as well, as released.
        others: names of what else may be in images. They take the pixels that are not the concept.
            Those of PASCAL VOC where nothing else is known; an evaluation has the classes of its
            data, as released.
        background: a pixel whose best name is less certain is of none; 0.95 as released for PASCAL
            VOC and objects of COCO, 0.35 for PASCAL Context, 0 for none.
        best: so many names, those that fit the whole image best, get any pixels.
    """

    concepts: Literal["apart", "together"] = "apart"
    others: tuple[str, ...] = _VOC
    background: Annotated[float, Field(ge=0, le=1)] = 0.95
    best: Annotated[int, Field(ge=1)] = 5

    def __post_init__(self) -> None:
        if not self.others and self.concepts == "apart":
            raise ConfigError(
                "naming.others is empty: a name that competes with no other takes every pixel; "
                "name what else may be in images, or set naming.concepts=together"
            )


@dataclass(frozen=True)
class GroupViTMethod(Method):
    """GroupViT.

    Attributes:
        groupvit: the weights.
        naming: the method's own settings.
        names: name of a concept -> what is read in its place.
    """

    groupvit: GroupVitNetwork = field(default_factory=GroupVitNetwork)
    naming: Naming = field(default_factory=Naming)
    names: dict[str, str] = field(default_factory=dict)

    prompted_by: ClassVar[Literal["image", "name"]] = "name"
    others_in: ClassVar[str] = "naming.others"

    @property
    def concepts_compete(self) -> bool:
        """See `Method.concepts_compete`."""
        return self.naming.concepts == "together"

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeName()]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`: all prompts of a concept have its name."""
        return shots[0]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [SegmentGroups(self.groupvit, self.naming, self.names, bank)]


@dataclass
class SegmentGroups(SegmentStep):
    """The pixels of each concept that a row asks for; none for a concept that gets no pixel."""

    groupvit: GroupVitNetwork
    naming: Naming
    names: Mapping[str, str]
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Grouped]:
        """Groups of each image."""
        return self.groupvit.encode(images)

    def objects(self, row: Row, encoded: Grouped) -> Iterator[Object]:
        """See `SegmentStep`."""
        entries = self.bank.asked(row)
        together = self.naming.concepts == "together"
        for group in [entries] if together else [[entry] for entry in entries]:
            asked = [words_for(entry, self.names) for entry in group]
            # What has other words by `names` is among the others by its own name.
            same = {*asked, *(words_for(entry, {}) for entry in group)}
            others = [name for each in self.naming.others if (name := spoken(each)) not in same]
            if asked:
                yield from self._of(group, self.groupvit.read([*asked, *others]), encoded)

    @torch.inference_mode()
    def _of(self, group: Sequence[Entry], texts: Tensor, image: Grouped) -> Iterator[Object]:
        naming = self.naming
        fits = fitting(image, texts, self.groupvit.scale, naming.best, naming.background)
        owner, best = owners(fits, image.size)
        for number, entry in enumerate(group, start=1):
            mask = owner == number
            if mask.any():
                score = min(1.0, float(best[mask].mean()))
                yield Object.of(entry.concept, entry.category_id, mask.cpu().numpy(), score)
