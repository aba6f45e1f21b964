"""Candidates of thousands of prompts on one image, a few at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from ipseg.errors import ConfigError
from ipseg.segmenters import Segmenter, StreamingSegmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import TOGETHER


def check_streams(segmenter: Segmenter, method: str) -> None:
    """Refuses a segmenter for a method that asks it hundreds of times for an image.

    Raises:
        ConfigError: it cannot decode in a stream.
    """
    if not isinstance(segmenter, StreamingSegmenter):
        raise ConfigError(
            f"{method} asks its segmenter hundreds of times for an image, which "
            f"{type(segmenter).__name__} cannot do: set segmenter.kind=segment_anything or hf_sam"
        )


@dataclass(frozen=True)
class Candidates:
    """K candidate masks of one or several prompts, on the model's device.

    Attributes:
        prompt: (K,) int64, index of the prompt that each comes from.
        predicted_iou: (K,) float32.
        logits: (K, H, W) float32 at the resolution of the image; > 0 is object.
    """

    prompt: Tensor
    predicted_iou: Tensor
    logits: Tensor


def streamed(
    segmenter: StreamingSegmenter,
    embedding: Any,  # noqa: ANN401
    prompts: Sequence[PointPrompt],
    *,
    multimask: bool = True,
    least_iou: float = -math.inf,
) -> Iterator[Candidates]:
    """Decodes prompts of one form and enlarges what is worth it, `TOGETHER` at a time, in order.

    Args:
        segmenter: made `embedding`.
        embedding: of the image.
        prompts: any number, of one form.
        multimask: several candidates of each, or one.
        least_iou: candidates are left out unless their predicted IoU is above it.
    """
    answers = segmenter.decode_logits(embedding, prompts, multimask=multimask)
    for start in range(0, len(prompts), TOGETHER):
        part = list(islice(answers, TOGETHER))
        predicted_iou = torch.stack([iou for _, iou in part])
        kept = predicted_iou > least_iou
        logits = torch.stack([low for low, _ in part])[kept]
        if len(logits):
            prompt = start + kept.nonzero()[:, 0]
            yield Candidates(prompt, predicted_iou[kept], embedding.frame.enlarge(logits))
