"""Features: what a prompt looks like, and where an image looks the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ipseg.features.similarity import Similarity
from ipseg.networks.models import Models
from ipseg.rows import Arrays, Image, Map


class Extractor(Protocol):
    """One kind of feature. Implementations are dataclasses of their settings.

    Feature maps stay inside: an extractor compares an image with the whole prompt bank where the
    features are, and hands out one small similarity map for each concept.

    Attributes:
        weight: share of this extractor's maps in the fused similarity map; 0 leaves it out.
    """

    weight: float

    @property
    def gpu_memory_gb(self) -> float:
        """GPU memory for weights and activations; 0 if it never uses a GPU."""

    def setup(self, models: Models) -> None:
        """Loads weights, if there are any."""

    def describe(self, image: Image, mask: Map) -> Arrays:
        """What to remember of one prompt image (H, W, 3) and its object mask (H, W) in [0, 1]."""

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """One entry of the bank from the descriptions of a concept's prompt images."""

    def compare(
        self,
        images: Sequence[Image],
        bank: Sequence[Arrays],
        grids: Sequence[tuple[int, int]],
    ) -> list[Similarity]:
        """Compares each image, described once, with each of P entries on its (gh, gw) grid."""
