"""The later passes of PerSAM's cascade: SAM is asked again with what it has found.

Source: PerSAM (Zhang et al., ICLR 2024), released code.
"""

from __future__ import annotations

from collections.abc import Sequence

from ipseg.segmenters import FeatureSegmenter
from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.segmenters.promptable import Embedding
from ipseg.segmenters.refinement import again, refine, tight_box


def refine_in_box(
    segmenter: FeatureSegmenter,
    embedding: Embedding,
    prompts: Sequence[PointPrompt],
    found: Sequence[Decoded],
    otherwise: Sequence[Decoded],
) -> list[Decoded]:
    """Another pass with the tight box of the mask that was found, and its logits.

    The box is that of the mask at the size of the image, as released. An empty mask has none (the
    released code fails there): then the answer is that of `otherwise`.

    Args:
        segmenter: what `embedding` comes from.
        embedding: of the image.
        prompts: the points, which stay the same.
        found: one candidate for each prompt.
        otherwise: one candidate for each prompt.

    Returns:
        For each prompt the candidate with the highest predicted IoU.
    """
    boxes = [tight_box(answer.masks[0]) for answer in found]
    filled = [index for index, box in enumerate(boxes) if box is not None]
    asked = [again(prompts[i], found[i], boxes[i]) for i in filled]
    answers = dict(enumerate(otherwise))
    answers.update(zip(filled, refine(segmenter, embedding, asked), strict=True))
    return list(answers.values())
