"""The base of steps that find objects in images: each image is encoded once for all concepts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ipseg.objects import Object
from ipseg.rows import Image, Row
from ipseg.steps.network_step import NetworkStep


@dataclass
class SegmentStep(NetworkStep):
    """Encodes the images of a batch together, then finds what each row asks for."""

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`, in the bank's order; none for a concept of which nothing was found."""
        encoded = self.encode([row["image"] for row in rows])
        return [
            {**row, "objects": list(self.objects(row, each))}
            for row, each in zip(rows, encoded, strict=True)
        ]

    @abstractmethod
    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """What the network makes of each image, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def objects(self, row: Row, encoded: Any) -> Iterable[Object]:  # noqa: ANN401
        """What a row asks for, found in its encoded image."""
