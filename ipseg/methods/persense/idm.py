"""From a density map to points: the instance detection module.

Source: PerSense (Siddiqui et al., BMVC 2025) and PerSense++ (arXiv 2508.14660), facts about their
released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import peak_local_max

from ipseg.rows import Map

Points = npt.NDArray[np.int64]  # (n, 2) x, y in whole pixels
Levels = npt.NDArray[np.uint8]  # (H, W)
Contour = npt.NDArray[np.int32]

_CORE = 0.5  # of the largest distance to the outline: what is left of a composite
_TINY = 1e-15  # keeps the centre of a contour without area defined, as released
_PEAK_DISTANCE = 5  # pixels between two local maxima, and from the border


@dataclass(frozen=True)
class InstanceDetection:
    """How points are taken from a density.

    Attributes:
        degenerate_contours: of one pixel or a straight line, whose centre is not defined.
            `released` puts their point at (0, 0), `fixed` leaves them out.
        parents_in_points: a contour so large that it is taken for several objects has a point for
            each of them. `released` keeps its own centre too, `children` does not.
        hybrid: takes the local maxima of the density in, as PerSense++ does.
    """

    degenerate_contours: Literal["released", "fixed"] = "fixed"
    parents_in_points: Literal["released", "children"] = "released"
    hybrid: bool = False

    def points(self, levels: Levels, least: int) -> Points:
        """Points in pixels of the image; none if the density is empty.

        Args:
            levels: (H, W) density, from `to_levels`.
            least: level above which there is an object.

        Returns:
            (n, 2): those within composite contours first, then one for each contour; with `hybrid`
            each place once, sorted by x and y.
        """
        binary = cv2.erode((levels > least).astype(np.uint8), np.ones((3, 3), np.uint8))
        contours = outer_contours(np.asarray(binary, np.uint8))
        composite = composites(contours)
        found = [
            child
            for contour, several in zip(contours, composite, strict=True)
            if several
            for child in outer_contours(_cores(contour, levels.shape))
        ]
        keep_parents = self.parents_in_points == "released"
        found += [
            contour
            for contour, several in zip(contours, composite, strict=True)
            if keep_parents or not several
        ]
        points = [each for each in map(self._centre, found) if each is not None]
        if self.hybrid:
            points = sorted({*points, *_peaks(levels)})
        return np.array(points, np.int64).reshape(-1, 2)

    def _centre(self, contour: Contour) -> tuple[int, int] | None:
        moments = cv2.moments(contour)
        if moments["m00"] == 0 and self.degenerate_contours == "fixed":
            return None
        area = moments["m00"] + _TINY
        return int(moments["m10"] / area), int(moments["m01"] / area)


def normalised(density: Map, shape: tuple[int, int]) -> Map:
    """A density on any grid over the image -> (H, W) float32 from 0 to 1; zeros if it is flat."""
    if density.shape != shape:
        density = np.asarray(
            cv2.resize(density, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32
        )
    low, high = density.min(), density.max()
    if not high > low:
        return np.zeros(shape, np.float32)
    return np.asarray((density - low) / (high - low), np.float32)


def to_levels(density: Map, shape: tuple[int, int]) -> Levels:
    """A density on any grid over the image -> (H, W) levels from 0 to 255, cut off."""
    return (normalised(density, shape) * 255).astype(np.uint8)


def outer_contours(binary: npt.NDArray[np.uint8]) -> Sequence[Contour]:
    """Outlines of what is not 0 in (H, W), without those of holes and of what lies in them."""
    found: Any = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contours: Sequence[Contour] = found[0]
    return contours


def composites(contours: Sequence[Contour]) -> list[bool]:
    """Whether a contour is so large among the others that it stands for several objects.

    The largest of k areas lies at most sqrt(k - 1) deviations above their mean, so of five or fewer
    contours none does.
    """
    areas = np.array([cv2.contourArea(each) for each in contours])
    if not len(areas):
        return []
    return [bool(each) for each in areas > areas.mean() + 2 * areas.std()]


def _cores(contour: Contour, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """What lies deep within a contour, its holes filled: (H, W) 0 or 1."""
    filled = np.zeros(shape, np.uint8)
    cv2.drawContours(filled, [contour], -1, 255, thickness=cv2.FILLED)
    distance = cv2.distanceTransform(filled, cv2.DIST_L2, 3)
    return (distance > _CORE * distance.max()).astype(np.uint8)


def _peaks(levels: Levels) -> list[tuple[int, int]]:
    least = levels.mean() + 2 * levels.std()
    places = peak_local_max(levels, min_distance=_PEAK_DISTANCE, threshold_abs=least)
    return [(int(x), int(y)) for y, x in places]
