"""Masks of anything: one for each point of a grid.

Source: No Time To Train, released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ipseg.segmenters.frame import Frame
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.promptable import Embedding, PromptableNetwork


@dataclass(frozen=True)
class Proposing:
    """Where masks are looked for.

    Attributes:
        points_per_side: points along each side of a grid over the image; each is one prompt.
        min_predicted_iou: the segmenter's estimate of a mask that is kept is above it.
    """

    points_per_side: Annotated[int, Field(ge=1)] = 32
    min_predicted_iou: float = 0.4


@dataclass(frozen=True)
class Proposals:
    """m masks that are not empty, on the device, in the order of points.

    Attributes:
        points: (m, 2) float32, the prompt of each: x, y in pixels of the image.
        predicted_iou: (m,) float32.
        logits: (m, h, w) float32 over the whole image; > 0 is inside.
    """

    points: Tensor
    predicted_iou: Tensor
    logits: Tensor

    def __getitem__(self, chosen: Tensor) -> Proposals:
        """Some of them, by a mask or by indices."""
        return Proposals(self.points[chosen], self.predicted_iou[chosen], self.logits[chosen])

    @property
    def masks(self) -> Tensor:
        """(m, h, w) bool, at the resolution of the segmenter's logits."""
        return self.logits > 0


def grid(frame: Frame, points_per_side: int) -> npt.NDArray[np.float32]:
    """(n * n, 2) x, y in pixels of the image: half a pixel from those of the square, row by row."""
    height, width = frame.inside
    rows, columns = (np.linspace(0, n - 1, points_per_side) + 0.5 for n in (height, width))
    inside = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    scale = np.array([frame.image[1] / width, frame.image[0] / height])
    return np.asarray(inside * scale, np.float32)


def propose(segmenter: PromptableNetwork, embedding: Embedding, settings: Proposing) -> Proposals:
    """For each point the mask that the segmenter thinks best of, unless it is bad or empty."""
    points = grid(embedding.frame, settings.points_per_side)
    prompts = [PointPrompt(point[None], np.ones(1, np.int8)) for point in points]
    numbers, ious, masks = [], [], []
    # One by one: of three candidates two go, and most points of a plain image give bad ones.
    for number, (logits, predicted_iou) in enumerate(segmenter.decode_logits(embedding, prompts)):
        best = int(predicted_iou.argmax())
        if predicted_iou[best] > settings.min_predicted_iou and (logits[best] > 0).any():
            numbers.append(number)
            ious.append(predicted_iou[best])
            masks.append(logits[best])
    if not masks:
        empty = torch.zeros(0)
        return Proposals(empty.view(0, 2), empty, empty.view(0, 1, 1))
    stacked = torch.stack(masks)
    chosen = torch.from_numpy(points[numbers]).to(stacked.device)
    return Proposals(chosen, torch.stack(ious), stacked)
