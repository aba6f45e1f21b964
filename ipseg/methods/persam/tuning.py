"""PerSAM-F's two learned numbers: how much each of SAM's three masks counts.

Source: PerSAM (Zhang et al., ICLR 2024), released code.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss  # type: ignore[import-untyped]

_EPSILON = 1e-4  # AdamW's; weight decay and betas are PyTorch's defaults: 0.01, 0.9, 0.999
_ALPHA, _GAMMA = 0.25, 2.0  # of the focal loss
_SMOOTHING = 1.0  # of the dice loss


def tune(
    logits: Tensor, truth: Tensor, iterations: int, learning_rate: float
) -> npt.NDArray[np.float32]:
    """Weights with which three masks together come closest to the truth.

    The first weight is what the two others leave of 1; all start at 1/3. AdamW with cosine
    annealing to 0 on dice loss + focal loss. The released code runs the mask decoder again at
    each step, with the same result: here its logits are an input.

    Args:
        logits: (3, H, W) float32 at the size of the reference image.
        truth: (H, W) bool, on the same device.
        iterations: steps, >= 0.
        learning_rate: of the first step, > 0.

    Returns:
        (3,) float32 whose sum is 1; single weights may be negative.
    """
    pixels = logits.flatten(1)
    wanted = truth.flatten().float()
    free = torch.full((2,), 1 / 3, device=logits.device, requires_grad=True)
    optimiser = torch.optim.AdamW([free], lr=learning_rate, eps=_EPSILON)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, iterations))
    for _ in range(iterations):
        weighted = _all(free) @ pixels
        focal = sigmoid_focal_loss(weighted, wanted, _ALPHA, _GAMMA, reduction="mean")
        optimiser.zero_grad()
        (dice_loss(weighted, wanted) + focal).backward()
        optimiser.step()
        annealing.step()
    return _all(free.detach()).cpu().numpy()


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - dice coefficient of (n,) logits with (n,) 0 or 1, smoothed by 1: in [0, 1)."""
    probability = logits.sigmoid()
    both = 2 * (probability * truth).sum() + _SMOOTHING
    return 1 - both / (probability.sum() + truth.sum() + _SMOOTHING)


def _all(free: Tensor) -> Tensor:
    return torch.cat([1 - free.sum(0, keepdim=True), free])
