"""What is remembered of a reference image: the mean feature of its object; common settings.

Source: PerSAM (Zhang et al., ICLR 2024), released code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ipseg.errors import PromptError
from ipseg.rows import Map, Mask
from ipseg.segmenters import FeatureSegmenter
from ipseg.segmenters.frame import Frame
from ipseg.segmenters.promptable import Embedding
from ipseg.vision.geometry import resize_map


@dataclass(frozen=True)
class Settings:
    """How a target is taken from its image and found in another.

    Attributes:
        mask_value: from 124 to 255, of object pixels when the mask is brought to the features, see
            `object_features`. Published numbers are with 128, that of PerSeg's files; the video
            script has 215.
        topk: points of each kind, at least 1. 1 for images; PerSAM's video script has 2.
    """

    mask_value: int = 128
    topk: int = 1

    def __post_init__(self) -> None:
        if not 124 <= self.mask_value <= 255:
            raise ValueError("mask_value must be from 124 to 255: below that, no cell is object")
        if self.topk < 1:
            raise ValueError("topk must be at least 1")


@dataclass(frozen=True)
class Reference:
    """One concept.

    Attributes:
        target: (c,) float32 feature of the object, not normalised.
    """

    target: npt.NDArray[np.float32]


def object_features(
    segmenter: FeatureSegmenter, embedding: Embedding, mask: Mask, mask_value: int
) -> Tensor:
    """Features of the cells that the object covers.

    As released, the mask goes through the network's preprocessing as an image of `mask_value` on
    black, and a cell counts where the result is positive: where the interpolated value is above
    the mean of the red channel, 123.7. With 128 that takes a cell (of which two by two pixels
    count) that is 96.6 % object, with 255 one that is 48.5 %.

    Where no cell counts, the released code goes on with a mean of nothing. Here the cells that
    hold most of the object then stand for it.

    Args:
        segmenter: what `embedding` comes from.
        embedding: of the reference image.
        mask: (H, W) bool at the size of that image.
        mask_value: of object pixels, 124 to 255.

    Returns:
        (n, c) float32, n >= 1, on the model's device.

    Raises:
        PromptError: the mask is empty.
    """
    if not mask.any():
        raise PromptError("the mask of the prompt is empty")
    features = segmenter.feature_map(embedding)
    image = np.repeat(mask[..., None] * np.uint8(mask_value), 3, axis=2)
    chosen = segmenter.on_features(embedding, image)[0] > 0
    if not chosen.any():
        share = _coverage(mask, embedding.frame, (features.shape[1], features.shape[2]))
        chosen = torch.from_numpy(share == share.max()).to(features.device)
    return features[:, chosen].T


def _coverage(mask: Mask, frame: Frame, grid: tuple[int, int]) -> Map:
    """Share of each cell of the square that the mask covers: (gh, gw)."""
    height, width = frame.inside
    square = np.zeros((frame.side, frame.side), np.float32)
    square[:height, :width] = resize_map(mask.astype(np.float32), (height, width), "area")
    return resize_map(square, grid, "area")
