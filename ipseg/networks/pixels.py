"""Images as input of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ipseg.rows import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Of all CLIP models by OpenAI.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def to_pixels(images: Sequence[Image], device: torch.device | str = "cpu") -> Tensor:
    """Images of one size as a contiguous tensor, channels first.

    A view with permuted axes has the same values, but networks keep its memory layout, in which
    PyTorch's GroupNorm on a CPU loses precision: for 128 channels of 512 x 512, as in the first
    level of Stable Diffusion, its error is 2e-4 instead of 8e-7.

    Args:
        images: n of (h, w, 3) uint8 RGB, in any memory layout.
        device: of the result.

    Returns:
        (n, 3, h, w) float32 in [0, 1], contiguous.
    """
    stacked = torch.from_numpy(np.stack(images)).to(device)
    return stacked.permute(0, 3, 1, 2).contiguous().float() / 255


def normalised(pixels: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """(n, 3, h, w) minus the mean and divided by the deviation of each of the three channels."""
    shift, scale = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return (pixels - shift) / scale
