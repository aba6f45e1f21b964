"""The prompt of a point-prompted segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ipseg.rows import Map


@dataclass(frozen=True)
class PointPrompt:
    """One set of points for one mask.

    Attributes:
        coords: (n, 2) x, y in pixels of the original image.
        labels: (n,) 1 for points on the object, 0 for others.
        box: (4,) x, y, x, y in pixels of the original image, fractions allowed, or None.
        mask_input: (h, w) dense prior, see `Segmenter.decode`, or None.
    """

    coords: npt.NDArray[np.float32]
    labels: npt.NDArray[np.integer[Any]]
    box: npt.NDArray[np.float64] | None = None
    mask_input: Map | None = None


@dataclass(frozen=True)
class Guidance:
    """Additional input of a guided decoder for one prompt (PerSAM).

    Attributes:
        attention: (gh, gw) float32 in [0, 1], position of the target, over the square.
        target: (c,) float32, mean features of the target, not normalised.
    """

    attention: Map
    target: npt.NDArray[np.float32]
