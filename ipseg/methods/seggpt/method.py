"""SegGPT as a method: the mask of an example is continued in another image.

prompts:  read -> decode -> support -> describe      => bank: patches of each example and its mask
images:   read -> decode -> segment                  => objects, one for each concept

Source: SegGPT (Wang et al., ICCV 2023), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ipseg.bank import Bank, Entry
from ipseg.errors import PromptError
from ipseg.methods.method import Method
from ipseg.methods.seggpt.network import Embedding, SegGptNetwork, Several, enlarged, levels
from ipseg.objects import Object
from ipseg.rows import Arrays, Image, Mask, Row, Step
from ipseg.steps.describe import DescribeStep
from ipseg.steps.segment import SegmentStep


@dataclass(frozen=True)
class Painting:
    """How the network is asked, and what becomes of its answer.

    Attributes:
        embedding: the type token, `instance` as the released commands have it, or `semantic`.
        several: how several prompts of a concept are brought together, see `SegGptNetwork.paint`.
            The library transformers does not give the original's result. With `apart` the grey
            levels of all prompts are averaged.
        threshold: grey level from 0 to 255 above which a pixel is object. Half of white takes each
            pixel for the nearer of black and white; the original's video script has 128.
    """

    embedding: Embedding = "instance"
    several: Several = "original"
    threshold: Annotated[float, Field(ge=0, lt=255)] = 127.5


@dataclass(frozen=True)
class SegGPTMethod(Method):
    """SegGPT.

    Attributes:
        network: the weights.
        painting: the method's own settings.
    """

    network: SegGptNetwork = field(default_factory=SegGptNetwork)
    painting: Painting = field(default_factory=Painting)

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample(self.network)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`: all of them, in their order."""
        return {name: np.concatenate([each[name] for each in shots]) for name in shots[0]}

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [PaintConcepts(self.network, self.painting, bank)]


@dataclass
class DescribeExample(DescribeStep):
    """The patches of a prompt image and of its mask."""

    network: SegGptNetwork

    def encode(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Patches of each image."""
        return self.network.encode(images)

    def kept(self, row: Row, encoded: Tensor, mask: Mask) -> Arrays:
        """`image` and `mask`, each (1, h, w, c) float32.

        Raises:
            PromptError: nothing is left of the object at the resolution of the network.
        """
        small = self.network.squashed_mask(mask)
        if not small.any():
            raise PromptError(
                f"the object of {row['uri']} has {mask.sum()} pixels, of which nothing is left at "
                f"{self.network.side} pixels a side: cut the image to the object, or draw a larger "
                f"mask"
            )
        kept = {"image": encoded, "mask": self.network.encode_mask(small)}
        return {name: patches[None].cpu().numpy() for name, patches in kept.items()}


@dataclass
class PaintConcepts(SegmentStep):
    """One mask for each concept that a row asks for, a pass of the network for each.

    None for a concept of which no pixel was painted.
    """

    network: SegGptNetwork
    painting: Painting
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Patches of each image."""
        return self.network.encode(images)

    def objects(self, row: Row, encoded: Tensor) -> Iterator[Object]:
        """See `SegmentStep`."""
        for entry in self.bank.asked(row):
            level = enlarged(self._levels(entry, encoded), row["image"].shape[:2])
            mask = level > self.painting.threshold
            if mask.any():
                inside = level[mask] / 255
                yield Object.of(
                    entry.concept,
                    entry.category_id,
                    mask.cpu().numpy(),
                    float(inside.mean()),
                    evidence={"level_max": float(inside.max())},
                )

    def _levels(self, entry: Entry, target: Tensor) -> Tensor:
        features = entry.features
        prompts, masks = (
            torch.from_numpy(features[name].copy()).to(target.device) for name in ("image", "mask")
        )
        settings = self.painting
        painted = self.network.paint(target, prompts, masks, settings.embedding, settings.several)
        if settings.several == "apart":
            return torch.stack([levels(each) for each in painted]).mean(dim=0)
        return levels(painted[0])
