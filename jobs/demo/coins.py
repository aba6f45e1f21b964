"""A photo of 24 coins, and where each of them is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skimage.data
from scipy import ndimage
from skimage.filters import sobel
from skimage.segmentation import watershed

from ipseg.inputs import Prompt
from ipseg.rows import Image, Mask

COINS = 24
_PROMPT_COIN = 9  # in the order of the labels
_SMALLEST_COIN = 300  # pixels
_MARGIN = 8  # pixels around the coin of the prompt


def coins() -> tuple[Image, list[Mask]]:
    """The photo of 24 coins in scikit-image, (H, W, 3) uint8, and the mask of each of them.

    The masks are found by a watershed of its edges from what is surely dark and surely bright,
    which works for this photo and few others.
    """
    grey = skimage.data.coins()
    markers = np.where(grey < 30, 1, np.where(grey > 150, 2, 0))
    regions = watershed(sobel(grey), markers) == 2
    labels, count = ndimage.label(ndimage.binary_fill_holes(regions))
    masks = [labels == number for number in range(1, count + 1)]
    masks = [mask for mask in masks if mask.sum() >= _SMALLEST_COIN]
    if len(masks) != COINS:
        raise AssertionError(f"the photo of coins gave {len(masks)} masks")
    return np.dstack([grey] * 3), masks


def one_coin(masks: Sequence[Mask]) -> Mask:
    """The coin that prompts are made of, from the middle of the photo."""
    return masks[_PROMPT_COIN]


def coin_prompt(image: Image, mask: Mask) -> Prompt:
    """One coin with some of what is around it."""
    rows, columns = np.nonzero(mask)
    part = (
        slice(max(0, int(rows.min()) - _MARGIN), int(rows.max()) + 1 + _MARGIN),
        slice(max(0, int(columns.min()) - _MARGIN), int(columns.max()) + 1 + _MARGIN),
    )
    return Prompt(np.ascontiguousarray(image[part]), mask=np.ascontiguousarray(mask[part]))
