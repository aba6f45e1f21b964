"""Candidates of thousands of prompts on one image, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ipseg.errors import ConfigError
from ipseg.networks.batching import in_micro_batches
from ipseg.segmenters import Segmenter, StreamingSegmenter
from ipseg.segmenters.frame import Frame
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import TOGETHER

# Prompts -> for each, logits (C, h, w) float32 over the square and predicted IoUs (C,).
Decode = Callable[[Sequence[PointPrompt]], Sequence[tuple[Tensor, Tensor]]]


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
    decode: Decode,
    frame: Frame,
    prompts: Sequence[PointPrompt],
    least_iou: float,
    at_once: int | None,
) -> Iterator[Candidates]:
    """Decodes prompts and enlarges what is worth it, `TOGETHER` prompts at a time, in order.

    Args:
        decode: of the network.
        frame: of the image.
        prompts: any number, of one form.
        least_iou: candidates are left out unless their predicted IoU is above it.
        at_once: prompts in a call of `decode`; None: all of a part.
    """
    for start in range(0, len(prompts), TOGETHER):
        answers = in_micro_batches(decode, prompts[start : start + TOGETHER], at_once)
        predicted_iou = torch.stack([iou for _, iou in answers])
        kept = predicted_iou > least_iou
        logits = torch.stack([low for low, _ in answers])[kept]
        if len(logits):
            prompt = start + kept.nonzero()[:, 0]
            yield Candidates(prompt, predicted_iou[kept], frame.enlarge(logits))
