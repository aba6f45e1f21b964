"""From what SAM 3 finds on a canvas to masks of the image on it.

Source: FSS-SAM3 (arXiv 2604.05433), facts about its released code. Which instances count as the
image's own is neither that code's rule nor Geti's: more than half of the mask lies on the image,
which is right for bent objects and for those that leak out of an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou  # type: ignore[import-untyped]

from ipseg.methods.sam3.canvas import Boxes, Layout
from ipseg.methods.sam3.network import Candidates
from ipseg.rows import Mask


@dataclass(frozen=True)
class Answer:
    """What becomes of candidates.

    Attributes:
        task: `semantic`: one mask of all that is found, as few-shot benchmarks have it; `instance`:
            a mask for each.
        threshold: score that a candidate is above.
        mask_threshold: probability that a mask's pixels are above.
    """

    task: Literal["semantic", "instance"] = "semantic"
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mask_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def masks(
        self, found: Candidates, layout: Layout, size: tuple[int, int]
    ) -> Iterator[tuple[Mask, float]]:
        """The masks of an image with their scores, the best first; none of them is empty.

        Args:
            found: on the canvas.
            layout: of the canvas.
            size: rows and columns of the image.
        """
        union, best = None, 0.0
        for part, score, share in self._parts(found, layout):
            if self.task == "semantic":
                inside = part > self.mask_threshold
                union = inside if union is None else union | inside
                # What leaks out of an example counts by the share of it that lies on the image.
                best = max(best, score * share)
            elif share > 0.5:
                mask = _resized(part, size, "bilinear") > self.mask_threshold
                if mask.any():
                    yield mask.cpu().numpy(), score
        if union is not None:
            mask = _resized(union.float(), size, "nearest") > 0
            if mask.any():
                yield mask.cpu().numpy(), best

    def _parts(self, found: Candidates, layout: Layout) -> Iterator[tuple[Tensor, float, float]]:
        """For each candidate its probabilities on the image, its score, and its share there."""
        side, target = layout.side, layout.target
        for score, logits in zip(found.scores.tolist(), found.logits, strict=True):
            probability = _resized(logits.sigmoid(), (side, side), "bilinear")
            part = target.cut(probability)
            area = int((probability > self.mask_threshold).sum())
            inside = int((part > self.mask_threshold).sum())
            if inside:
                yield part, score, inside / area


def example_iou(found: Candidates, examples: Boxes) -> float:
    """How well the best candidate's box fits an example's: IoU, 0 where there is no candidate.

    The examples are on the canvas, so that the network should find them; where it does not, the
    prompt or the layout is no good.
    """
    if not len(found.boxes):
        return 0.0
    given = torch.from_numpy(np.asarray(examples)).to(found.boxes.device)
    return float(box_iou(found.boxes, given).max())


def _resized(plane: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    corners = False if mode == "bilinear" else None
    return functional.interpolate(plane[None, None], size, mode=mode, align_corners=corners)[0, 0]
