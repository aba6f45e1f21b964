"""The segmenter's masks of all points, as bits and on the cells of the grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.rows import Mask
from ipseg.segmenters import StreamingSegmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.stream import streamed


@dataclass(frozen=True)
class PointMasks:
    """One mask for each of n points.

    Attributes:
        bits: (n, b) uint8: the masks, eight pixels to a byte.
        frame: side of a mask, pixels.
        corners: (n, g * g) bool: the mask has the first pixel of the cell.
        shares: (n, g * g) float32 in [0, 1]: mean of the pixels in the middle of the cell.
        predicted_iou: (n,) float32.
    """

    bits: npt.NDArray[np.uint8]
    frame: int
    corners: Tensor
    shares: Tensor
    predicted_iou: Tensor

    def union(self, chosen: npt.NDArray[np.integer[Any]]) -> Mask:
        """(frame, frame) bool: what is in any of the masks with these numbers."""
        bits = np.bitwise_or.reduce(self.bits[chosen], axis=0)
        pixels = np.unpackbits(bits, count=self.frame**2).astype(np.bool_)
        return pixels.reshape(self.frame, self.frame)


def masks_of(
    segmenter: StreamingSegmenter,
    embedding: Any,  # noqa: ANN401
    points: npt.NDArray[np.int64],
    frame: int,
    grid: int,
) -> PointMasks:
    """Asks the segmenter with each point alone.

    Args:
        segmenter: made `embedding`.
        embedding: of the square.
        points: (n, 2) x, y in pixels of the square, n >= 1.
        frame: side of the square, pixels.
        grid: cells along a side.
    """
    label = np.ones(1, np.int8)
    prompts = [PointPrompt(point[None].astype(np.float32), label) for point in points]
    stream = streamed(segmenter, embedding, prompts, multimask=False)
    return gathered(((each.logits > 0, each.predicted_iou) for each in stream), frame, grid)


def gathered(parts: Iterable[tuple[Tensor, Tensor]], frame: int, grid: int) -> PointMasks:
    """Masks (k, frame, frame) bool and their predicted IoUs (k,), a few at a time."""
    bits, corners, shares, ious = [], [], [], []
    for masks, iou in parts:
        bits.append(np.packbits(masks.flatten(1).cpu().numpy(), axis=1))
        corners.append(_resized(masks, grid, "nearest").cpu() > 0)
        shares.append(_resized(masks, grid, "bilinear").cpu())
        ious.append(iou.cpu())
    return PointMasks(
        np.concatenate(bits), frame, torch.cat(corners), torch.cat(shares), torch.cat(ious)
    )


def _resized(masks: Tensor, grid: int, mode: str) -> Tensor:
    shape = (grid, grid)
    return functional.interpolate(masks[None].float(), shape, mode=mode)[0].flatten(1)
