"""Where an image shows what a prompt shows, once it is known how the prompt lies in it.

Keypoints say where an object lies, with few of them; its outline is then the prompt's, which may be
wrong (saliency took in what the object stands on) or partly hidden by something else. Pixel by
pixel, the colours of prompt and image agree where the object is visible and nowhere else, but for
chance (dense verification, as after the initial matches in Ferrari et al., ECCV 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Map

Colours = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

_ROUNDS = 3
_TOLERANCE = 9.0  # Lab units, distance at which colours agree by exp(-1/2)
_GAIN = (0.6, 1.6)  # of contrast between prompt and image
_REACH = 3  # cells, side of the square in which a colour may be found
_AROUND = 5  # cells, side of the square over which agreement is averaged


@dataclass(frozen=True)
class Verified:
    """How well an image shows a placed prompt.

    Attributes:
        agreement: (h, w) float32 in [0, 1], how well the colours agree at each cell.
        correlation: in [0, 1], of brightness within the prompt's object; of unrelated things it is
            about 0, however alike their colours are.
    """

    agreement: Map
    correlation: float


def verified(expected: Colours, weight: Map, seen: Colours) -> Verified:
    """Compares colours, after a change of light.

    Args:
        expected: (h, w, 3) CIELAB, the prompt image where it is placed.
        weight: (h, w) in [0, 1], the prompt's object there; not all zero.
        seen: (h, w, 3) CIELAB of the image.

    """
    inside = weight > 0.5
    if not inside.any():
        return Verified(np.zeros_like(weight), 0.0)
    x, y = expected[inside].astype(np.float64), seen[inside].astype(np.float64)
    gain, shift = np.ones(3), np.median(y - x, axis=0)
    for _ in range(_ROUNDS):
        off = ((gain * x + shift - y) ** 2).sum(axis=1)
        trust = np.exp(-off / (2 * _TOLERANCE**2)) + 1e-3
        trust /= trust.sum()
        centre_x, centre_y = trust @ x, trust @ y
        spread = trust @ (x - centre_x) ** 2
        slope = (trust @ ((x - centre_x) * (y - centre_y)) + 4.0) / (spread + 4.0)
        gain = np.clip(slope, *_GAIN)
        shift = centre_y - gain * centre_x
    lit = (gain * expected + shift).astype(np.float32)
    # A placement is exact to a cell or two: the colour may be found beside its place.
    low, high = (f(seen, np.ones((_REACH, _REACH), np.uint8)) for f in (cv2.erode, cv2.dilate))
    off = np.maximum(np.maximum(low - lit, lit - high), 0)
    alike = np.exp(-(off**2).sum(axis=2) / (2 * _TOLERANCE**2)).astype(np.float32)
    blurred = np.asarray(cv2.blur(alike, (_AROUND, _AROUND)))
    return Verified(blurred, _correlation(x[:, 0], y[:, 0]))


def _correlation(x: Values, y: Values) -> float:
    x, y = x - x.mean(), y - y.mean()
    return max(0.0, float(x @ y / max(1e-9, float(np.sqrt((x @ x) * (y @ y))))))
