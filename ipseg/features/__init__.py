"""Features of prompts, and where images have similar features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

from ipseg.features.similarity import Similarity
from ipseg.networks.shared import Part
from ipseg.rows import Arrays, Image, Map


class Extractor(Part, Protocol):
    """One kind of features. Implementations are dataclasses whose fields are their settings.

    Feature maps never leave an extractor: it compares an image with the whole prompt bank on the
    device and returns one small similarity map for each concept.

    Attributes:
        weight: of its maps in the fused similarity map; 0 leaves it out.
    """

    weight: float

    def prompt_features(self, image: Image, mask: Map) -> Arrays:
        """Features of a prompt: an image (H, W, 3) uint8 and its object mask (H, W) in [0, 1]."""

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """One entry of the bank from the prompt features of all prompts of a concept."""

    def compare(
        self, images: Sequence[Image], bank: Sequence[Arrays], grids: Sequence[tuple[int, int]]
    ) -> list[Similarity]:
        """Compares each image with all P entries, on its (gh, gw) grid; encodes it once."""


@runtime_checkable
class PlacingExtractor(Extractor, Protocol):
    """An extractor that tells the instances of a concept apart (`Similarity.placements`)."""

    def for_many(self, most: int) -> Self:
        """The same for images with up to `most` instances; prompts are described alike."""
