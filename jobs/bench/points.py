"""What decoding many points of an image together saves, as in crowds."""

from __future__ import annotations

import timeit
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ipseg.methods.persense.decoding import once, prompts_at
from ipseg.networks.models import Models
from ipseg.segmenters import Segmenter
from ipseg.segmenters.promptable import PromptableNetwork
from ipseg.segmenters.refinement import only
from jobs.bench.concepts import SIZE, ready

POINTS = 40


@dataclass(frozen=True)
class PointSeconds:
    """Seconds for the masks of points on a 640 x 480 image, decoder of the published size.

    Attributes:
        points: how many.
        together: in batches, each with its best mask alone.
        alone: one by one with all their masks, as PerSense's released code does.
        difference: largest one between low-resolution logits of the two.
        same: share of points whose best candidate is the same.
    """

    points: int
    together: float
    alone: float
    difference: float
    same: float

    @property
    def ratio(self) -> float:
        """How many times as long it takes one by one."""
        return self.alone / self.together


def measure_points(
    segmenter: Segmenter, models: Models, count: int = POINTS
) -> PointSeconds | None:
    """Times both in turn; None for a segmenter without a network."""
    if not isinstance(segmenter, PromptableNetwork):
        return None
    part: Any = replace(segmenter)
    embedding = ready(part, models)
    random = np.random.default_rng(0)
    points = random.integers(0, (SIZE[1], SIZE[0]), (count, 2))
    prompts = prompts_at(points)
    part.decode_many(embedding, prompts[:1])  # the first call of a network takes longer
    found: dict[str, list[Any]] = {}

    def together() -> None:
        found["together"] = list(once(part, embedding, points))

    def alone() -> None:
        answers = (part.decode_many(embedding, [prompt])[0] for prompt in prompts)
        found["alone"] = [only(a, int(np.argmax(a.predicted_iou))) for a in answers]

    seconds = [timeit.timeit(run, number=1) for run in (together, alone)]
    pairs = list(zip(found["together"], found["alone"], strict=True))
    apart = [float(np.abs(a.low_res_logits - b.low_res_logits).max()) for a, b in pairs]
    same = [float(np.isclose(a.predicted_iou, b.predicted_iou, atol=1e-4).all()) for a, b in pairs]
    return PointSeconds(count, *seconds, max(apart), float(np.mean(same)))
