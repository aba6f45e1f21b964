"""What a point-prompted segmenter answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Decoded:
    """C candidate masks for one set of points.

    Attributes:
        masks: (C, H, W) bool at the original resolution of the image.
        predicted_iou: (C,) float32, the segmenter's own estimate of each mask's quality, meant to
            be in [0, 1]. SAM's is the plain output of a regression and may leave that range.
        low_res_logits: (C, h, w) float32, mask logits on the segmenter's own grid (> 0 is object).
        frame_masks: (C, h, w) bool, the masks as the segmenter saw the image, before they were
            brought to its resolution; they cover the whole image. None: `masks` are these.
    """

    masks: npt.NDArray[np.bool_]
    predicted_iou: npt.NDArray[np.float32]
    low_res_logits: npt.NDArray[np.float32]
    frame_masks: npt.NDArray[np.bool_] | None = None
