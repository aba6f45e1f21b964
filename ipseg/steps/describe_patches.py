"""The base of steps that keep patch tokens of an example."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ipseg.features.patch_tokens import Patches, PatchTokens, Placement
from ipseg.rows import Arrays, Mask, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask


@dataclass
class DescribePatches(NetworkStep):
    """Encodes the examples of a batch together, then keeps something of each."""

    tokens: PatchTokens
    placement: Placement

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`."""
        encoded = self.tokens.encode([row["image"] for row in rows], self.placement)
        masks = [read_soft_mask(row["support_mask"]) > 0.5 for row in rows]
        return [
            {**row, "prompt_features": self.kept(each, self.placement.place_mask(mask))}
            for row, each, mask in zip(rows, encoded, masks, strict=True)
        ]

    @abstractmethod
    def kept(self, patches: Patches, mask: Mask) -> Arrays:
        """What is kept of an example and its mask, (h, w) bool, placed as the image is."""
