"""From an address to pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ipseg.errors import ImageError
from ipseg.rows import Resources, Row, Step
from ipseg.storage.addresses import fetch
from ipseg.vision.images import ImageLimits, decode


@dataclass
class Read(Step):
    """Fetches the encoded picture of rows that do not carry it already."""

    name: ClassVar[str] = "read"
    requires: ClassVar[tuple[str, ...]] = ("uri",)
    provides: ClassVar[tuple[str, ...]] = ("image_bytes",)
    uses: ClassVar[tuple[str, ...]] = ("image_bytes",)

    @property
    def resources(self) -> Resources:
        """Mostly waiting for storage."""
        return Resources(cpus=0.5)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `image_bytes`."""
        return [
            row if row.get("image_bytes") is not None else {**row, "image_bytes": fetch(row["uri"])}
            for row in rows
        ]


@dataclass
class Decode(Step):
    """Decodes pictures to RGB. Pixels stay in the worker: each stage that sees them decodes."""

    limits: ImageLimits = field(default_factory=ImageLimits)

    name: ClassVar[str] = "decode"
    requires: ClassVar[tuple[str, ...]] = ("image_bytes",)
    provides: ClassVar[tuple[str, ...]] = ("image", "width", "height")
    uses: ClassVar[tuple[str, ...]] = ("crop",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `image`, `width` and `height` (after EXIF orientation, of the crop if there is one).

        Raises:
            ImageError: not a picture, or nothing of it is in the crop.
        """
        decoded = []
        for row in rows:
            image = decode(row["image_bytes"], self.limits)
            if row.get("crop") is not None:
                x0, y0, x1, y1 = row["crop"]
                image = np.ascontiguousarray(image[y0:y1, x0:x1])
                if not image.size:
                    raise ImageError(f"the crop {x0},{y0},{x1},{y1} holds no pixel")
            height, width = image.shape[:2]
            decoded.append({**row, "image": image, "width": width, "height": height})
        return decoded
