"""What a point-prompted segmenter takes and gives."""

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


@dataclass(frozen=True)
class Decoded:
    """C candidate masks for one set of points.

    Attributes:
        masks: (C, H, W) bool at the original resolution of the image.
        predicted_iou: (C,) float32, the segmenter's estimate of the quality of each mask, nominally
            in [0, 1]. SAM's is the output of a regression and can be outside of that range.
        low_res_logits: (C, h, w) float32, mask logits on the segmenter's grid (> 0 is object).
        frame_masks: (C, h, w) bool, masks of the whole image at the resolution of the segmenter's
            input, before they were resized to the image. None: equal to `masks`.
    """

    masks: npt.NDArray[np.bool_]
    predicted_iou: npt.NDArray[np.float32]
    low_res_logits: npt.NDArray[np.float32]
    frame_masks: npt.NDArray[np.bool_] | None = None
