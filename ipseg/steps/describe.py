"""The base of steps that keep something of examples: each is encoded once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ipseg.features.patch_tokens import Patches, PatchTokens, Placement
from ipseg.rows import Arrays, Image, Mask, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask


@dataclass
class DescribeStep(NetworkStep):
    """Encodes the examples of a batch together, then keeps something of each."""

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`.

        Raises:
            PromptError: nothing is left of the object.
        """
        encoded = self.encode([row["image"] for row in rows])
        masks = [read_soft_mask(row["support_mask"]) > 0.5 for row in rows]
        return [
            {**row, "prompt_features": self.kept(row, each, mask)}
            for row, each, mask in zip(rows, encoded, masks, strict=True)
        ]

    @abstractmethod
    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """What the network makes of each image, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def kept(self, row: Row, encoded: Any, mask: Mask) -> Arrays:  # noqa: ANN401
        """What is kept of a row's encoded example and its mask, (H, W) bool."""


@dataclass
class DescribePatches(DescribeStep):
    """Keeps patch tokens of an example that was placed in the network's input."""

    tokens: PatchTokens
    placement: Placement

    def encode(self, images: Sequence[Image]) -> Sequence[Patches]:
        """Patches of each image."""
        return self.tokens.encode(images, self.placement)

    def kept(self, row: Row, encoded: Patches, mask: Mask) -> Arrays:
        """See `DescribeStep`."""
        del row
        return self.of_patches(encoded, self.placement.place_mask(mask))

    @abstractmethod
    def of_patches(self, patches: Patches, mask: Mask) -> Arrays:
        """What is kept of an example and its mask, (h, w) bool, placed as the image is."""
