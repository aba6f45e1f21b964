"""The result of a point-prompted segmenter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
