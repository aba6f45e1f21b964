"""What is stored of a prompt image beside its features: its mask, a thumbnail, a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from ipseg.rows import Row, Step
from ipseg.vision.images import encode_jpeg, thumbnail
from ipseg.vision.masks import encode_rle, read_soft_mask

THUMBNAIL_SIDE = 320


@dataclass
class KeepPrompt(Step):
    """Puts together what one chain keeps of a prompt: schema `ipseg.columns.PROMPT`."""

    name: ClassVar[str] = "keep"
    requires: ClassVar[tuple[str, ...]] = ("prompt_features",)
    provides: ClassVar[tuple[str, ...]] = ("prompts",)
    uses: ClassVar[tuple[str, ...]] = ("support_mask", "mask_source", "warning")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompts`, a list of one."""
        return [{**row, "prompts": [_kept(row)]} for row in rows]


def _kept(row: Row) -> dict[str, object]:
    mask = row.get("support_mask")
    return {
        "chain": "",
        "mask": None if mask is None else encode_rle(read_soft_mask(mask) > 0.5),
        "mask_source": row.get("mask_source"),
        "warning": row.get("warning"),
        "features": row["prompt_features"],
    }


@dataclass
class Thumbnail(Step):
    """A small copy and a hash of each prompt image, for reports."""

    name: ClassVar[str] = "thumbnail"
    requires: ClassVar[tuple[str, ...]] = ("image", "image_bytes")
    provides: ClassVar[tuple[str, ...]] = ("thumbnail", "image_sha256")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `thumbnail` (JPEG) and `image_sha256`."""
        return [
            {
                **row,
                "thumbnail": encode_jpeg(thumbnail(row["image"], THUMBNAIL_SIDE)),
                "image_sha256": hashlib.sha256(row["image_bytes"]).hexdigest(),
            }
            for row in rows
        ]
