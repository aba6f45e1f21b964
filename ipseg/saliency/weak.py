"""The fallback of saliency models if nothing is salient, and how later steps recognise it.

The mask of a prompt must not be empty: pooling over no cells would give NaN, and a concept that
matches nothing. The fallback is the part of the map above half of its maximum, but with
`WEAK_LEVEL`, the lowest 8-bit level above the hard threshold of 0.5. So later steps recognise a
guess by the maximum of the map, and can warn about it.
"""

from __future__ import annotations

import numpy as np

from ipseg.rows import Map

WEAK_LEVEL = 128 / 255


def never_empty(saliency: Map) -> Map:
    """The map itself if any pixel is above 0.5, else a weak guess.

    Args:
        saliency: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1] with at least one pixel above 0.5. The guess is the map divided by
        its maximum and clipped at `WEAK_LEVEL`; for a map of zeros, the whole image. It has 8-bit
        levels, so that values close to 0.5 stay on the same side when it is stored.
    """
    peak = float(saliency.max())
    if peak > 0.5:
        return saliency
    if peak <= 0:
        return np.full(saliency.shape, WEAK_LEVEL, dtype=np.float32)
    guess = np.minimum(saliency / np.float32(peak), WEAK_LEVEL)
    return np.asarray(np.round(guess * 255) / 255, dtype=np.float32)


def is_weak(mask: Map) -> bool:
    """Whether the isolated object is only a guess: no value of the map is above `WEAK_LEVEL`.

    Args:
        mask: (H, W) float32 in [0, 1] from `Saliency.isolate`, possibly rounded to 8 bits.
    """
    return bool(mask.max() < (128.5 / 255))
