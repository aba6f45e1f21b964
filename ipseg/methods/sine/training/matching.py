"""Which token answers for which object: the cheapest assignment.

Source: SINE (Liu et al., NeurIPS 2024), released code; the costs are those of Mask2Former.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from ipseg.methods.sine.mformer import Prediction
from ipseg.methods.sine.training.points import at_shared
from ipseg.methods.sine.training.settings import Losses


@torch.no_grad()
def matched(
    prediction: Prediction, classes: Tensor, masks: Tensor, points: Tensor, settings: Losses
) -> tuple[Tensor, Tensor]:
    """Pairs of instance token and object.

    Args:
        prediction: of q instances, k classes.
        classes: (n,), columns of the logits.
        masks: (n, H, W) float, 1 on the object, on the canvas.
        points: (p, 2) at which masks are compared, shared by all.
        settings: weights of the costs.

    Returns:
        Tokens and objects, min(q, n) of each, int64 on the CPU.

    Raises:
        FloatingPointError: the prediction is not of finite numbers.
    """
    probabilities = prediction.logits.softmax(dim=1)[:, classes]
    # Masks are linear in the features, so these are sampled, not each mask.
    logits = prediction.queries @ at_shared(prediction.mask_features, points)
    truth = at_shared(masks, points)
    cost = (
        settings.bce * pairwise_bce(logits, truth)
        + settings.dice * pairwise_dice(logits, truth)
        - settings.classes * probabilities
    )
    costs = cost.cpu().numpy()
    if not np.isfinite(costs).all():
        raise FloatingPointError("costs of tokens that are no finite numbers")
    tokens, objects = linear_sum_assignment(costs)
    return torch.from_numpy(tokens), torch.from_numpy(objects)


def pairwise_bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean cross-entropy of each of (q, p) logits with each of (n, p) masks: (q, n)."""
    inside, outside = functional.softplus(-logits), functional.softplus(logits)
    return (inside @ truth.T + outside @ (1 - truth).T) / logits.shape[1]


def pairwise_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - the overlap, smoothed by 1, of each of (q, p) logits with each of (n, p): (q, n)."""
    inside = logits.sigmoid()
    areas = inside.sum(dim=1)[:, None] + truth.sum(dim=1)
    return 1 - (2 * inside @ truth.T + 1) / (areas + 1)
