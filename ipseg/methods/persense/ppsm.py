"""Which points are kept: similar enough to the example, and inside a box where its name is found.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ipseg.methods.persense.idm import Points
from ipseg.rows import Map

_SOFTENING = math.sqrt(2)
_LEAST_DIVISOR = 2.0
Boxes = npt.NDArray[np.floating]  # (m, 4) x, y, x, y in pixels


@dataclass(frozen=True)
class PointSelection:
    """The point prompt selection module.

    Attributes:
        ppsm_threshold: the least similarity is the largest one times sqrt(2) / count. `released`
            does so for any count but 1, for which it takes a half: for less than 1.41 nothing is
            similar enough. `fixed` takes at most a half. `none` leaves similarity out, as in
            PerSense++.
        ppsm_fallback_first_pass: what the first pass goes on with where no point is kept.
            `released` has none, and counts again by the first exemplar alone. `fixed` takes all
            points inside the boxes, or else all.
    """

    ppsm_threshold: Literal["released", "fixed", "none"] = "fixed"
    ppsm_fallback_first_pass: Literal["released", "fixed"] = "fixed"  # noqa: S105

    def threshold(self, similarity: Map, count: float) -> float:
        """The least similarity of a point.

        Args:
            similarity: (H, W) float32 over the image.
            count: of objects; any number.
        """
        if self.ppsm_threshold == "none":
            return -math.inf
        divisor = _LEAST_DIVISOR if count == 1 else count / _SOFTENING
        if self.ppsm_threshold == "fixed":
            divisor = max(divisor, _LEAST_DIVISOR)
        if divisor == 0:
            return math.inf
        return float(similarity.max() / np.float32(divisor))

    def kept(
        self, similarity: Map, points: Points, boxes: Boxes | None, count: float
    ) -> npt.NDArray[np.bool_]:
        """Which points are kept: (n,).

        Args:
            similarity: (H, W) float32 over the image.
            points: (n, 2) x, y.
            boxes: in one of which a point must lie, its border included; None for anywhere.
            count: of objects.
        """
        similar = similarity[points[:, 1], points[:, 0]] >= self.threshold(similarity, count)
        return np.asarray(similar & inside(points, boxes))


def inside(points: Points, boxes: Boxes | None) -> npt.NDArray[np.bool_]:
    """Which of n points lie in a box or on its border: (n,); all where there is no gate."""
    if boxes is None:
        return np.ones(len(points), bool)
    x, y = points[:, :1], points[:, 1:]
    within = (x >= boxes[:, 0]) & (y >= boxes[:, 1]) & (x <= boxes[:, 2]) & (y <= boxes[:, 3])
    return np.asarray(within.any(axis=1))
