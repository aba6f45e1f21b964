"""Decoding points to a mask in one pass, or in three successive passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ipseg.rows import Map
from ipseg.segmenters import BatchedSegmenter, Segmenter, SeparatingSegmenter
from ipseg.segmenters.prompt import Decoded, PointPrompt

TOGETHER = 16  # prompts; larger batches are not faster on a GPU

Box = npt.NDArray[np.float64]  # (4,) x, y, x, y


@dataclass(frozen=True)
class Refinement:
    """Number of decoding passes, and the inputs of later passes.

    Three passes, as released (PerSAM's cascaded post-refinement, Zhang et al., ICLR 2024):

    1. the points, one candidate;
    2. the same points and the logits of pass 1, three candidates, of which the one with the
       highest predicted IoU is kept;
    3. the same points, the logits of that candidate and its tight box; again the best of three.

    The caller encodes the image once.

    Attributes:
        passes: 1 as in the paper, or 3 as released.
        prior: `similarity` passes the fused similarity map to the first pass as dense prompt, which
            only the classical segmenter supports. `none` uses only the points.
        empty_box: the box if pass 2 finds nothing. `full` is the whole image; `degenerate` is that
            of the released code: swapped coordinates, with no area.
        frame: `image` gives masks at the size of the image; `segmenter` at that of the segmenter's
            input, at which the released code compares them with the ground truth.
    """

    passes: Literal[1, 3] = 1
    prior: Literal["similarity", "none"] = "none"
    empty_box: Literal["full", "degenerate"] = "full"
    frame: Literal["image", "segmenter"] = "image"

    def run_many(
        self,
        segmenter: Segmenter,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
        similarities: Sequence[Map],
    ) -> Iterator[Decoded]:
        """For each prompt, candidates to choose from by predicted IoU; in order.

        Prompts are decoded in small batches if the segmenter supports it: the masks of hundreds of
        concepts on a large image would not fit into memory.

        Args:
            segmenter: made `embedding`.
            embedding: of the image.
            prompts: points in pixels of the image.
            similarities: for each prompt, (gh, gw) fused similarity map over the image.

        Yields:
            All candidates of the only pass, or the best one of the third pass; that one may be
            empty.
        """
        given = [self._given(*each) for each in zip(prompts, similarities, strict=True)]
        for start in range(0, len(given), TOGETHER):
            yield from self._run(segmenter, embedding, given[start : start + TOGETHER])

    def run_groups(
        self,
        segmenter: Segmenter,
        embedding: Any,  # noqa: ANN401
        groups: Sequence[Sequence[tuple[PointPrompt, Map]]],
    ) -> Iterator[Decoded]:
        """As `run_many`, for objects in groups: those of a group look alike, and may touch.

        A segmenter that can part them decodes each group as a whole.

        Args:
            segmenter: made `embedding`.
            embedding: of the image.
            groups: prompts, each with the similarity map of its object.

        Yields:
            For each prompt what `run_many` has for it; or, of a group that was decoded as a whole,
            its one candidate.
        """
        parting = segmenter if isinstance(segmenter, SeparatingSegmenter) else None
        single = [each for group in groups for each in group if len(group) == 1 or parting is None]
        decoded = self.run_many(
            segmenter, embedding, [p for p, _ in single], [s for _, s in single]
        )
        for group in groups:
            if parting is not None and len(group) > 1:
                yield from parting.decode_apart(embedding, [self._given(*each) for each in group])
            else:
                yield from (next(decoded) for _ in group)

    def _given(self, prompt: PointPrompt, similarity: Map) -> PointPrompt:
        """The prompt as the first pass gets it."""
        return replace(prompt, mask_input=similarity) if self.prior == "similarity" else prompt

    def _run(
        self,
        segmenter: Segmenter,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
    ) -> list[Decoded]:
        if self.passes == 1:
            return decode_all(segmenter, embedding, prompts)
        first = decode_all(segmenter, embedding, prompts, multimask=False)
        second = refine(segmenter, embedding, list(map(again, prompts, first)))
        boxes = [self.box(answer) for answer in second]
        return refine(segmenter, embedding, list(map(again, prompts, second, boxes)))

    def box(self, second: Decoded) -> Box:
        """The box for pass 3 from the one candidate of pass 2.

        It is measured in whole pixels of the frame and converted to pixels of the image without
        rounding, so that the conversion back is exact.
        """
        seen = (second.masks if second.frame_masks is None else second.frame_masks)[0]
        height, width = seen.shape
        box = tight_box(seen)
        if box is None:
            x, y = width - 1, height - 1
            box = np.array([0, 0, x, y] if self.empty_box == "full" else [0, y, 0, y], np.float64)
        rows, columns = second.masks.shape[1:]
        return box * np.array([columns / width, rows / height] * 2)


def decode_all(
    segmenter: Segmenter,
    embedding: Any,  # noqa: ANN401
    prompts: Sequence[PointPrompt],
    *,
    multimask: bool = True,
) -> list[Decoded]:
    """Decodes each prompt on one image, in a batch if the segmenter supports it."""
    if isinstance(segmenter, BatchedSegmenter):
        return segmenter.decode_many(embedding, prompts, multimask=multimask)
    return [
        segmenter.decode(
            embedding,
            prompt.coords,
            prompt.labels,
            boxes=prompt.box,
            mask_input=prompt.mask_input,
            multimask=multimask,
        )
        for prompt in prompts
    ]


def again(prompt: PointPrompt, answer: Decoded, box: Box | None = None) -> PointPrompt:
    """The prompt with the logits of the first candidate that it gave, and with a box, if given."""
    return replace(
        prompt, box=prompt.box if box is None else box, mask_input=answer.low_res_logits[0]
    )


def refine(
    segmenter: Segmenter,
    embedding: Any,  # noqa: ANN401
    prompts: Sequence[PointPrompt],
) -> list[Decoded]:
    """Decodes each prompt and keeps the candidate with the highest predicted IoU."""
    if isinstance(segmenter, BatchedSegmenter):
        return segmenter.decode_many(embedding, prompts, best=True)
    answers = decode_all(segmenter, embedding, prompts)
    return [only(answer, int(np.argmax(answer.predicted_iou))) for answer in answers]


def tight_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """First and last column and row of a (H, W) mask: x, y, x, y; None if it is empty."""
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    if not len(columns):
        return None
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float64)


def only(decoded: Decoded, index: int) -> Decoded:
    """One of several candidates, keeping the leading axis."""
    chosen = slice(index, index + 1)
    kept: dict[str, Any] = {
        name: part if part is None else part[chosen] for name, part in vars(decoded).items()
    }
    return Decoded(**kept)
