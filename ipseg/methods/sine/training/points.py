"""Masks at points instead of everywhere.

Source: Mask2Former (Cheng et al., CVPR 2022), section 3.3, after PointRend.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.sine.training.settings import Losses


def at_shared(maps: Tensor, points: Tensor) -> Tensor:
    """Maps at the same points.

    Args:
        maps: (n, h, w) float.
        points: (p, 2), x and y in [0, 1] of the canvas.

    Returns:
        (n, p), bilinear; outside is zero.
    """
    return _sampled(maps[None], points[None])[0]


def at_own(maps: Tensor, points: Tensor) -> Tensor:
    """Maps, each at points of its own: (n, h, w) and (n, p, 2) -> (n, p); see `at_shared`."""
    return _sampled(maps[:, None], points)[:, 0]


def _sampled(maps: Tensor, points: Tensor) -> Tensor:
    grid = (2 * points - 1)[:, :, None]
    return functional.grid_sample(maps, grid, mode="bilinear", align_corners=False)[..., 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, settings: Losses, random: torch.Generator) -> Tensor:
    """Points at which masks are compared: mostly where they are least certain.

    Args:
        logits: (n, h, w) of masks.
        settings: number of points and of candidates.
        random: on the device of the masks.

    Returns:
        (n, p, 2), x and y in [0, 1].
    """
    count, device = len(logits), logits.device
    candidates = round(settings.oversampled * settings.points)
    uncertain = int(settings.uncertain * settings.points)
    found = torch.rand(count, candidates, 2, device=device, generator=random)
    order = at_own(logits, found).abs().topk(uncertain, dim=1, largest=False).indices
    least = found.gather(1, order[..., None].expand(-1, -1, 2))
    rest = settings.points - uncertain
    anywhere = torch.rand(count, rest, 2, device=device, generator=random)
    return torch.cat([least, anywhere], dim=1)
