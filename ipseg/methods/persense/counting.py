"""The step of PerSense that counts, and finds a point for each object.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ipseg.counters import Counter
from ipseg.crowd import Boxes, Crowd, Points
from ipseg.methods.persense.idm import to_levels
from ipseg.methods.persense.persense import PerSense
from ipseg.rows import Map, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.images import encode_png

_DENSITY_SIDE = 512  # pixels of a stored density


@dataclass
class Count(NetworkStep):
    """How many there are by the exemplars, and a point for each."""

    counter: Counter
    settings: PerSense

    name: ClassVar[str] = "count"
    requires: ClassVar[tuple[str, ...]] = ("image", "crowds")
    provides: ClassVar[tuple[str, ...]] = ("crowds",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds counts and points to `crowds`."""
        encoded = self.counter.encode([row["image"] for row in rows])
        return [
            {**row, "crowds": [self._counted(row, each, crowd) for crowd in row["crowds"]]}
            for row, each in zip(rows, encoded, strict=True)
        ]

    def _counted(self, row: Row, encoded: Any, crowd: Crowd) -> Crowd:  # noqa: ANN401
        if crowd.ended:
            return crowd
        density = self.counter.count(encoded, crowd.exemplars)
        crowd = replace(crowd, count=float(density.count), total=density.total)
        if self.settings.density:
            crowd = replace(crowd, density=_image_of(density.map, row["image"].shape[:2]))
        if not density.map.max() > density.map.min():
            return crowd.over("empty density")
        if crowd.count <= 0:
            crowd = crowd.noted("count <= 0")
            if self.settings.ppsm.ppsm_threshold == "fixed":
                return crowd.over("count <= 0")
        levels = to_levels(density.map, row["image"].shape[:2])
        points = self.settings.idm.points(levels, self.counter.level)
        if not len(points):
            # The exemplars would be the same in the second pass, and so would be what it finds.
            return crowd.over("no contour")
        around = None if density.boxes is None else _nearest(density.boxes, points)
        return replace(crowd, points=points, around=around)


def _image_of(density: Map, shape: tuple[int, int]) -> bytes:
    """A density in the sides of its image, as PNG."""
    scale = min(1.0, _DENSITY_SIDE / max(shape))
    small = (max(1, round(scale * shape[0])), max(1, round(scale * shape[1])))
    return encode_png(to_levels(density, small))


def _nearest(boxes: Boxes, points: Points) -> Boxes:
    """For each of n points the box whose middle is nearest: (n, 4)."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    far = np.linalg.norm(points[:, None] - middles[None], axis=2)
    return np.asarray(boxes[far.argmin(axis=1)])
