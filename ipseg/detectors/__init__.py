"""Detectors: from an image and a name to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ipseg.networks.shared import Part
from ipseg.rows import Image


@dataclass(frozen=True)
class Detections:
    """What is found by one caption.

    Attributes:
        boxes: (n, 4) float32 x, y, x, y in pixels of the image; may reach beyond it a little.
        scores: (n,) float32 in [0, 1].
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class Detector(Part, Protocol):
    """Encodes an image once and finds any number of names in it."""

    def encode(self, images: Sequence[Image]) -> list[Any]:
        """What does not depend on names, for each (H, W, 3) uint8 image; private."""

    def detect(self, encoded: Any, caption: str) -> Detections:  # noqa: ANN401
        """Boxes of what a caption names."""
