"""Images that were cut out: their alpha says what the object is."""

from __future__ import annotations

import numpy as np

from ipseg.rows import Mask
from ipseg.vision.images import ImageLimits, open_image

_ANY_SIZE = ImageLimits(min_side=1, max_aspect=float("inf"), max_pixels=2**62)
_OPAQUE = 128  # alpha from here on


def read_cut_out(data: bytes) -> Mask | None:
    """The object of an image that was cut out: the pixels that its alpha leaves opaque.

    Args:
        data: of an image in any format that has alpha; its size is not checked.

    Returns:
        (H, W) bool, upright; None where no alpha varies between transparent and opaque.

    Raises:
        ImageError: it is damaged, or no image.
    """
    opened = open_image(data, _ANY_SIZE)
    if not opened.image.has_transparency_data or opened.image.mode.startswith("I"):
        return None
    opaque = np.asarray(opened.image.convert("RGBA"))[..., 3] >= _OPAQUE
    if opaque.all() or not opaque.any():
        return None
    return np.ascontiguousarray(opened.upright(opaque))
