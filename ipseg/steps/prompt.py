"""The prompt side: isolate the object of a prompt image, remember what it looks like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipseg.errors import PromptError
from ipseg.features import Extractor
from ipseg.networks.models import Models
from ipseg.rows import Map, Resources, Row, Step
from ipseg.saliency import Saliency
from ipseg.saliency.weak import is_weak
from ipseg.steps.judge import truth_at
from ipseg.vision.images import encode_jpeg, encode_png, thumbnail
from ipseg.vision.masks import read_mask, read_soft_mask

THUMBNAIL_SIDE = 320
# An object smaller or larger than this share of its picture is more often a saliency that caught a
# speck or the background than a prompt somebody meant.
USUAL_AREA = (0.01, 0.9)


@dataclass
class IsolateObject(Step):
    """Finds the object a prompt image shows: the user's own mask, or else saliency."""

    saliency: Saliency
    models: Models

    name: ClassVar[str] = "isolate"
    requires: ClassVar[tuple[str, ...]] = ("image", "image_bytes")
    provides: ClassVar[tuple[str, ...]] = (
        *("prompt_mask", "mask_source", "warning", "thumbnail", "image_sha256"),
    )
    uses: ClassVar[tuple[str, ...]] = ("mask_bytes", "uri")
    loads_model: ClassVar[bool] = True

    def setup(self) -> None:
        """Loads the saliency model."""
        self.saliency.setup(self.models)

    @property
    def resources(self) -> Resources:
        """One core, and what the saliency model declares."""
        return Resources(gpu_memory_gb=self.saliency.gpu_memory_gb)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the mask as an 8-bit PNG, where it came from, and a warning or None."""
        return [self._isolate(row) for row in rows]

    def _isolate(self, row: Row) -> Row:
        image = row["image"]
        given = row.get("mask_bytes")
        mask: Map
        if given is None:
            mask = self.saliency.isolate(image)
        else:
            mask = read_mask(given).astype(np.float32)
            if mask.shape != image.shape[:2]:
                raise PromptError(
                    f"the mask of {row['uri']} is {mask.shape[1]}x{mask.shape[0]} pixels, "
                    f"the picture {image.shape[1]}x{image.shape[0]}; they must be the same"
                )
            if not mask.any():
                raise PromptError(f"the mask of {row['uri']} is empty: no pixel is non-zero")
        return {
            **row,
            "prompt_mask": encode_png(np.round(mask * 255).astype(np.uint8)),
            "mask_source": "saliency" if given is None else "given",
            "warning": _warning(mask),
            "thumbnail": encode_jpeg(thumbnail(image, THUMBNAIL_SIDE)),
            "image_sha256": hashlib.sha256(row["image_bytes"]).hexdigest(),
        }


@dataclass
class ShowTruth(Step):
    """Gives a support its ground-truth mask, as a user would give a prompt its mask."""

    name: ClassVar[str] = "show"
    # Not the picture's size: this step needs no pixels, and `isolate` compares the two.
    requires: ClassVar[tuple[str, ...]] = ("uri",)
    provides: ClassVar[tuple[str, ...]] = ("mask_bytes",)
    uses: ClassVar[tuple[str, ...]] = ("truth", "crop")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `mask_bytes` to rows that name a mask."""
        return [self._show(row) for row in rows]

    def _show(self, row: Row) -> Row:
        if not row.get("truth"):
            return {**row, "mask_bytes": None}
        truth = truth_at(row["truth"], None, row.get("crop"))
        return {**row, "mask_bytes": encode_png(truth.mask.astype(np.uint8) * 255)}


@dataclass
class DescribePrompt(Step):
    """Describes the isolated object with every extractor."""

    extractors: dict[str, Extractor]
    models: Models

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "prompt_mask")
    provides: ClassVar[tuple[str, ...]] = ("description",)
    loads_model: ClassVar[bool] = True

    def setup(self) -> None:
        """Loads the feature models."""
        for extractor in self.extractors.values():
            extractor.setup(self.models)

    @property
    def resources(self) -> Resources:
        """One core, and what the extractors declare together."""
        return Resources(gpu_memory_gb=sum(e.gpu_memory_gb for e in self.extractors.values()))

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `description`."""
        described = []
        for row in rows:
            mask = read_soft_mask(row["prompt_mask"])
            description = {
                kind: extractor.prompt_features(row["image"], mask)
                for kind, extractor in self.extractors.items()
            }
            described.append({**row, "description": description})
        return described


def _warning(mask: Map) -> str | None:
    if is_weak(mask):
        return "nothing stands out in this picture; the object is a guess"
    share = float((mask > 0.5).mean())
    low, high = USUAL_AREA
    if share < low:
        return f"the object covers only {share:.1%} of the picture"
    if share > high:
        return f"the object covers {share:.0%} of the picture, so the background may be in it"
    return None
