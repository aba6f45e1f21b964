"""SAM's mask decoder: how many prompts of one image it takes a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipseg.segmenters.prompt import PointPrompt
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.released import sam_vit_h
from jobs.bench.photos import photos

_PROMPTS = (1, 4, 16, 64, 256)


def measure_decoder(card: Card) -> dict[str, Any]:
    """Decodes 1, 4, 16 ... prompts of eight points on one encoded photo, masks brought to the CPU.

    In float32, as always. Returns `points` as in `Card.fitting`, with `prompts_per_second`.
    """
    segmenter = sam_vit_h(card)
    (embedding,) = segmenter.encode([photos()[0]])
    random = np.random.default_rng(0)
    labels = np.array([1] * 4 + [0] * 4)
    prompts = [
        PointPrompt(random.uniform(10, 300, (8, 2)).astype(np.float32), labels)
        for _ in range(_PROMPTS[-1])
    ]
    segmenter._at_once = None  # all that are asked for together
    points = []
    for number in _PROMPTS[:2] if card.tiny else _PROMPTS:
        if card.late and points:
            break
        found = card.fitting(lambda n: segmenter.decode_many(embedding, prompts[:n]), number)
        if found["batch"]:
            found["prompts_per_second"] = found["batch"] / found["seconds"]
        points.append(found)
    return {"precision": "float32", "points": points}
