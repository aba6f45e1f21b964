"""From cells to pixels."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from ipseg.rows import Mask


def enlarged(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """A mask (h, w) bool at another size: bilinear, above one half. (H, W) bool."""
    values = functional.interpolate(
        mask[None, None].float(), shape, mode="bilinear", align_corners=False
    )
    return values[0, 0] > 0.5


def on_image(cells: Tensor, side: int, shape: tuple[int, int]) -> Mask:
    """Cells as a mask of the image, by way of the square of the network.

    Args:
        cells: (n, n) bool.
        side: of the square, pixels.
        shape: rows and columns of the image.

    Returns:
        (H, W) bool.
    """
    return np.asarray(enlarged(enlarged(cells, (side, side)), shape).cpu().numpy())
