"""What a feature extractor says about one image and the concepts of a prompt bank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Similarity:
    """How much each cell of an image looks like each of P concepts.

    Attributes:
        maps: (P, gh, gw) float32 on the grid that was asked for, which covers the whole image
            row by row; higher is more alike. Only comparable within one image.
        presence: (P,) float32 in [0, 1], evidence that the concept is in the image at all;
            comparable between images.
    """

    maps: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
