"""What PerSAM and PerSAM-F have in common to be set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a target is taken from its image and found in another.

    Attributes:
        mask_value: of object pixels when the mask is brought to the features, see
            `object_features`. Published numbers are with 128, that of PerSeg's files; the video
            script has 215.
        topk: points of each kind, >= 1. 1 for images; PerSAM's video script has 2.
    """

    mask_value: int = 128
    topk: int = 1

    def __post_init__(self) -> None:
        if not 124 <= self.mask_value <= 255:
            raise ValueError("mask_value must be from 124 to 255: below that, no cell is object")
        if self.topk < 1:
            raise ValueError("topk must be at least 1")
