"""From cells to pixels."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from ipseg.rows import Mask


def enlarged(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Where values (h, w) in [0, 1] at another size (bilinear) are above one half: (H, W) bool."""
    larger = functional.interpolate(
        values[None, None].float(), shape, mode="bilinear", align_corners=False
    )
    return larger[0, 0] > 0.5


def on_image(cells: Tensor, side: int, shape: tuple[int, int]) -> Mask:
    """Cells as a mask of the image, by way of the square of the network.

    Args:
        cells: (n, n) bool, or in [0, 1].
        side: of the square, pixels.
        shape: rows and columns of the image.

    Returns:
        (H, W) bool.
    """
    return np.asarray(enlarged(enlarged(cells, (side, side)), shape).cpu().numpy())
