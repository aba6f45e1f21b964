"""What a saliency model answers when nothing stands out, and how that is recognised later.

A prompt must isolate something: an empty mask would give a mean over no cells, NaN, and a concept
that matches nothing. The fall-back takes the part of the map above half its maximum, but only at
`WEAK_LEVEL`, the lowest 8-bit level that still passes the hard threshold of 0.5. So the maximum
of the map alone tells later steps that the object is a guess, and they can say so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WEAK_LEVEL = 128 / 255


def never_empty(saliency: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The map itself if any pixel is above 0.5, else a weak guess in its place.

    Args:
        saliency: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1] with at least one pixel above 0.5. The guess is the map divided by
        its maximum and cut off at `WEAK_LEVEL`; for a map of zeros, the whole picture. It has
        8-bit levels, so that a value next to 0.5 is on the same side once it is stored.
    """
    peak = float(saliency.max())
    if peak > 0.5:
        return saliency
    if peak <= 0:
        return np.full(saliency.shape, WEAK_LEVEL, dtype=np.float32)
    guess = np.minimum(saliency / np.float32(peak), WEAK_LEVEL)
    return np.asarray(np.round(guess * 255) / 255, dtype=np.float32)


def is_weak(mask: npt.NDArray[np.float32]) -> bool:
    """True if the isolated object is only a guess: no value of the map is above `WEAK_LEVEL`.

    Args:
        mask: (H, W) float32 in [0, 1], what `Saliency.isolate` gave, 8-bit rounding allowed.
    """
    return bool(mask.max() < (128.5 / 255))
