"""What is kept of an example: the mean feature of one instance, seen from near.

Source: No Time To Train (arXiv 2507.02798), released code, `Sam2MatchingBaseline_noAMG`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ipseg.errors import PromptError
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.networks.pixels import to_pixels
from ipseg.rows import Image, Mask

_FRAME = 1024  # of SAM 2; images go to DINOv2 by way of it


@dataclass
class Encoder(PatchEncoder):
    """DINOv2-L, as released."""

    weights: str = "facebook/dinov2-large"
    size: Annotated[int, Field(gt=0)] = 518
    # ViT-L: weights 1.2, a dozen tensors of a block at 1,370 tokens 0.3, the libraries.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 2.2


def whole(image: Image, side: int) -> Tensor:
    """(3, side, side): an image as the segmenter gets it, resized once more (bicubic)."""
    size = (_FRAME, _FRAME)
    square = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
    pixels = to_pixels([np.asarray(square)])
    return functional.interpolate(pixels, (side, side), mode="bicubic", align_corners=False)[0]


def cut_out(image: Image, side: int) -> Tensor:
    """(3, side, side): what was cut out around an instance, stretched to the square (bicubic)."""
    square = PillowImage.fromarray(image).resize((side, side), PillowImage.Resampling.BICUBIC)
    return to_pixels([np.asarray(square)])[0]


def surroundings(mask: Mask, context: float) -> tuple[slice, slice]:
    """Rows and columns of a square about the box of a mask, clipped to the image.

    Args:
        mask: (H, W) bool.
        context: the side of the square is 1 + `context` times the longer side of the box.

    Raises:
        PromptError: the mask is empty.
    """
    if not mask.any():
        raise PromptError("the mask of the prompt is empty")
    spans = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] + (0, 1) for axis in (1, 0)]
    half = (1 + context) * max(end - start for start, end in spans) / 2
    rows, columns = (
        slice(max(0, round((start + end) / 2 - half)), min(length, round((start + end) / 2 + half)))
        for (start, end), length in zip(spans, mask.shape, strict=True)
    )
    return rows, columns


def weights_of(mask: Mask, side: int, cells: int) -> Tensor:
    """(n * n,) how much of an instance each cell has.

    As released: bilinear to the square of the network, then the first pixel of each cell. An
    instance so thin that all of these miss it is averaged over cells.

    Args:
        mask: (h, w) bool of what was cut out, not empty.
        side: of the square, pixels.
        cells: n, along each of its sides.
    """
    square = functional.interpolate(
        torch.from_numpy(mask)[None, None].float(), (side, side), mode="bilinear"
    )
    sampled = functional.interpolate(square, (cells, cells), mode="nearest")
    if not sampled.any():
        exact = torch.from_numpy(mask)[None, None].float()
        sampled = functional.adaptive_avg_pool2d(exact, (cells, cells))
    return sampled.flatten()
