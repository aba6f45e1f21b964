"""Prompts of one form as the networks of the SAM family take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ipseg.segmenters.frame import Frame
from ipseg.segmenters.prompt import PointPrompt


@dataclass(frozen=True)
class PromptBatch:
    """B prompts with the same number of points, in coordinates of the network.

    Attributes:
        coords: (B, n, 2) float32 x, y in pixels of the square.
        labels: (B, n) int64, 1 on the object and 0 elsewhere.
        boxes: (B, 4) float32 x, y, x, y in pixels of the square, or None.
        logits: (B, h, w) float32 mask logits over the whole square, or None.
        multimask: several candidates, or one.
    """

    coords: Tensor
    labels: Tensor
    boxes: Tensor | None
    logits: Tensor | None
    multimask: bool

    @staticmethod
    def of(
        prompts: Sequence[PointPrompt],
        frame: Frame,
        multimask: bool,
        device: torch.device,
    ) -> PromptBatch:
        """Prompts on one image, all with equally many points, and all or none with box and logits.

        Args:
            prompts: in pixels of the image.
            frame: of the image in the square.
            multimask: several candidates, or one.
            device: of the network.
        """

        def stack(arrays: list[npt.NDArray[Any]], dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).to(dtype).to(device)

        boxes = [
            frame.from_image(p.box.reshape(2, 2)).ravel() for p in prompts if p.box is not None
        ]
        logits = [p.mask_input for p in prompts if p.mask_input is not None]
        return PromptBatch(
            coords=stack(
                [frame.from_image(p.coords.reshape(-1, 2)) for p in prompts], torch.float32
            ),
            labels=stack([p.labels for p in prompts], torch.int64),
            boxes=stack(boxes, torch.float32) if boxes else None,
            logits=stack(logits, torch.float32) if logits else None,
            multimask=multimask,
        )
