"""No saliency: the whole prompt image is the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.networks.models import Models


@dataclass
class NoSaliency:
    """Includes the background in the object ("without TSDN" in the paper, table 6).

    For prompt images that are already cropped to the object, and to measure the effect of saliency.
    """

    @property
    def gpu_memory_gb(self) -> float:
        """No GPU is used."""
        return 0.0

    def setup(self, models: Models) -> None:
        """Nothing to load."""

    def predict(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Ones: (H, W) float32 for a (H, W, 3) uint8 image."""
        return np.ones(image.shape[:2], dtype=np.float32)

    def isolate(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Ones: (H, W) float32 for a (H, W, 3) uint8 image."""
        return self.predict(image)
