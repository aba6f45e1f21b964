"""Masks that a segmenter proposes, without keeping any at full resolution.

Source: Matcher (Liu et al., ICLR 2024), released code: SAM's automatic mask generator, asked with
sets of points too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms  # type: ignore[import-untyped]

from ipseg.methods.matcher.settings import Grid, Share
from ipseg.methods.matcher.settings import Proposals as Settings
from ipseg.rows import Mask
from ipseg.segmenters import StreamingSegmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.stream import Candidates, streamed
from ipseg.vision.masks import RLE, decode_rle, encode_rle

Cells = tuple[int, int]  # rows, columns

OnCells = Callable[[Tensor, Cells], Tensor]  # logits (n, H, W) -> (n, c) bool

_OFFSET = 1.0  # of the logits, between whose two thresholds a mask is stable


def touched(logits: Tensor, grid: Cells) -> Tensor:
    """(n, c): whether any pixel of a cell is in the masks of logits (n, H, W)."""
    inside = (logits > 0)[None].float()
    return functional.interpolate(inside, grid, mode="area")[0].flatten(1) > 0


def mostly_inside(logits: Tensor, grid: Cells) -> Tensor:
    """(n, c): whether the mean of logits (n, H, W) in a cell is of the object; the highest is."""
    means = functional.interpolate(logits[None], grid, mode="area")[0].flatten(1)
    return means >= means.max(dim=1, keepdim=True).values.clamp(max=0)


@dataclass(frozen=True)
class Pool:
    """n masks, each as run lengths and by the c cells of a grid.

    Attributes:
        masks: run lengths.
        cells: (n, c) bool: the mask has a pixel in the cell.
        centres: (n, c) bool: it has the pixel in the middle of the cell.
        boxes: (n, 4) float32 x, y, x, y; first and last pixels, zeros of an empty mask.
        predicted_iou: (n,) float32.
    """

    masks: list[RLE]
    cells: npt.NDArray[np.bool_]
    centres: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float32]
    predicted_iou: npt.NDArray[np.float32]

    @staticmethod
    def of(pools: Sequence[Pool]) -> Pool:
        """All masks of several, at least one."""
        arrays = ("cells", "centres", "boxes", "predicted_iou")
        return Pool(
            [mask for pool in pools for mask in pool.masks],
            **{name: np.concatenate([getattr(pool, name) for pool in pools]) for name in arrays},
        )

    def of_those(self, chosen: npt.NDArray[np.int64]) -> Pool:
        """Some of the masks, in the order of their numbers."""
        return Pool(
            [self.masks[number] for number in chosen],
            self.cells[chosen],
            self.centres[chosen],
            self.boxes[chosen],
            self.predicted_iou[chosen],
        )

    def union(self, chosen: Iterable[int]) -> Mask:
        """(H, W) bool: what is in any of some masks."""
        return np.logical_or.reduce([decode_rle(self.masks[number]) for number in chosen])


def from_points(
    segmenter: StreamingSegmenter,
    embedding: Any,  # noqa: ANN401
    groups: Iterable[Sequence[PointPrompt]],
    settings: Settings,
    grid: Cells,
    on_cells: OnCells = touched,
) -> Pool:
    """What sets of points propose.

    Args:
        segmenter: made `embedding`.
        embedding: of the square.
        groups: prompts, those of a group with equally many points.
        settings: which of the masks are kept.
        grid: rows and columns of cells.
        on_cells: which cells are a mask's.
    """
    pools = [_empty(grid)]
    for prompts in groups:
        stream = streamed(
            *(segmenter, embedding, prompts),
            multimask=settings.multimask,
            least_iou=_above(settings.least_iou),
        )
        pools += [_pool(each, settings.least_stability, grid, on_cells) for each in stream]
    return Pool.of(pools)


def from_grid(
    segmenter: StreamingSegmenter,
    embedding: Any,  # noqa: ANN401
    settings: Grid,
    frame: int,
    grid: Cells,
) -> Pool:
    """What points all over the image propose.

    Args:
        segmenter: made `embedding`.
        embedding: of the square.
        settings: of the points, and which of the masks are kept.
        frame: side of the square, pixels.
        grid: rows and columns of cells.
    """
    places = ((np.arange(settings.side) + 0.5) * frame / settings.side).astype(np.float32)
    label = np.ones(1, np.int8)
    prompts = [PointPrompt(np.array([[x, y]], np.float32), label) for y in places for x in places]
    stream = streamed(
        segmenter, embedding, prompts, multimask=False, least_iou=_above(settings.least_iou)
    )
    return Pool.of(
        [_empty(grid), *(_pool(c, settings.least_stability, grid, touched) for c in stream)]
    )


def _above(least: Share) -> float:
    return least or -float("inf")  # predicted IoUs can be negative


def _empty(grid: Cells) -> Pool:
    cells = np.zeros((0, grid[0] * grid[1]), np.bool_)
    return Pool([], cells, cells, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def _pool(candidates: Candidates, least_stability: float, grid: Cells, on_cells: OnCells) -> Pool:
    logits, predicted_iou = candidates.logits, candidates.predicted_iou
    if least_stability:
        kept = stability(logits) >= least_stability
        logits, predicted_iou = logits[kept], predicted_iou[kept]
    masks = logits > 0
    return Pool(
        masks=[encode_rle(mask) for mask in masks.cpu().numpy()],
        cells=on_cells(logits, grid).cpu().numpy(),
        centres=at_centres(masks, grid).cpu().numpy(),
        boxes=_boxes(masks).cpu().numpy(),
        predicted_iou=predicted_iou.cpu().numpy(),
    )


def stability(logits: Tensor) -> Tensor:
    """(n,): IoU of the masks (n, H, W) at 1 above and at 1 below the threshold; NaN for none."""
    inner = (logits > _OFFSET).sum(dim=(1, 2))
    return inner / (logits > -_OFFSET).sum(dim=(1, 2))


def at_centres(masks: Tensor, grid: Cells) -> Tensor:
    """(n, c): whether masks (n, H, W) have the pixel in the middle of each cell."""
    sides = zip(masks.shape[1:], grid, strict=True)
    rows, columns = (middles(*each).to(masks.device) for each in sides)
    return masks[:, rows][:, :, columns].flatten(1)


def middles(side: int, cells: int) -> Tensor:
    """(cells,) int64: the pixel in the middle of each cell along a side."""
    return ((torch.arange(cells) + 0.5) * side / cells).long()


def _boxes(masks: Tensor) -> Tensor:
    along, down = masks.any(dim=1).float(), masks.any(dim=2).float()
    first = [along.argmax(dim=1), down.argmax(dim=1)]
    last = [each.shape[1] - 1 - each.flip(1).argmax(dim=1) for each in (along, down)]
    filled = masks.any(dim=2).any(dim=1)
    return torch.stack([*first, *last], dim=1).float() * filled[:, None]


def suppressed(pool: Pool, least_overlap: float) -> Pool:
    """Masks by falling predicted IoU, without those whose box overlaps the box of one before."""
    kept = nms(torch.from_numpy(pool.boxes), torch.from_numpy(pool.predicted_iou), least_overlap)
    return pool.of_those(kept.numpy())
