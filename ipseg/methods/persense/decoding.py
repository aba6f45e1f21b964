"""Points to masks, many at once, in small batches: as PerSense asks a segmenter.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ipseg.methods.persense.idm import Points
from ipseg.segmenters import GuidedSegmenter, Segmenter
from ipseg.segmenters.prompt import Decoded, Guidance, PointPrompt
from ipseg.segmenters.refinement import TOGETHER, again, refine


def prompts_at(points: Points, neighbours: int = 0) -> list[PointPrompt]:
    """One prompt of one point on the object for each of (n, 2) points.

    Args:
        points: x, y in pixels of the image.
        neighbours: so many of the nearest other points, as far as there are, are off the object.
    """
    places = np.asarray(points, np.float32)
    prompts = []
    for index, each in enumerate(places):
        distance = np.linalg.norm(places - each, axis=1)
        distance[index] = -1
        chosen = np.argsort(distance, kind="stable")[: 1 + neighbours]
        labels = np.zeros(len(chosen), np.int8)
        labels[0] = 1
        prompts.append(PointPrompt(places[chosen], labels))
    return prompts


def refined(
    segmenter: Segmenter,
    embedding: Any,  # noqa: ANN401
    points: Points,
    guidance: Guidance | None,
) -> Iterator[Decoded]:
    """Each point in two passes: guided by the target, then from the logits of the best candidate.

    Args:
        segmenter: what `embedding` comes from.
        embedding: of the image.
        points: (n, 2) in pixels of the image.
        guidance: of the decoder; None, or a segmenter that cannot be guided, goes by the point
            alone.

    Yields:
        The candidate with the highest predicted IoU, in order of the points.
    """
    for prompts in _chunks(prompts_at(points)):
        if guidance is not None and isinstance(segmenter, GuidedSegmenter):
            guides = [guidance] * len(prompts)
            first = segmenter.decode_guided(embedding, prompts, guides, best=True)
        else:
            first = refine(segmenter, embedding, prompts)
        yield from refine(segmenter, embedding, list(map(again, prompts, first)))


def once(
    segmenter: Segmenter,
    embedding: Any,  # noqa: ANN401
    points: Points,
    neighbours: int = 0,
) -> Iterator[Decoded]:
    """Each point in one pass; the candidate with the highest predicted IoU, in order."""
    for prompts in _chunks(prompts_at(points, neighbours)):
        yield from refine(segmenter, embedding, prompts)


def _chunks(prompts: Sequence[PointPrompt]) -> Iterator[Sequence[PointPrompt]]:
    """Few at a time: all masks of a crowd on a large image would not fit into memory."""
    for start in range(0, len(prompts), TOGETHER):
        yield prompts[start : start + TOGETHER]
