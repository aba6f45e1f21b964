"""Seconds that each part of a profile takes on this machine, with the weights that are here."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ipseg.methods.ipseg.method import IPSeg
from ipseg.networks.models import Models
from ipseg.rows import Image
from ipseg.segmenters.prompt import PointPrompt
from ipseg.steps.support import Support
from jobs.bench.photos import photos

_RUNS = 5  # at most; the median counts
_PATIENCE = 20.0  # seconds after which no further run is started
_CONCEPTS = 4  # decoded together


Timing = dict[str, Any]  # see `time_parts`


def time_parts(method: IPSeg, support: Support, models: Models) -> list[Timing]:
    """Runs every part of a profile on a photo, each alone.

    Returns:
        For each: the `part` as in the profile; `per` what it is counted: 'prompt', 'image' or
        'concept' (of an image); seconds to `load` its weights (0 where nothing is loaded), of the
        `first` call, which also sets up what later ones reuse, and the median `seconds` of the
        later ones, whose number is `runs`; `gpu_memory_gb`, the highest GPU memory while it ran,
        weights included (None without CUDA), and what the profile declares, `declared_gb`.

    Raises:
        ConfigError: a part is not set that the support needs.
        WeightsError: weights are missing or damaged.
    """
    clock = _Clock(models, photos()[0])
    height, width = clock.image.shape[:2]
    grid = method.matching.grid_of(width, height)
    found = []
    of_prompt = support.step(method.segmenter, drawn=False).saliency
    if of_prompt is not None:
        found.append(_time_saliency(clock, "support.saliency", "prompt", of_prompt))
    if method.matching.saliency_weight > 0:
        found.append(_time_saliency(clock, "saliency", "image", method.saliency))
    for kind, extractor in method.extractors.items():
        found.append(_time_features(clock, kind, extractor, grid))
    return found + _time_masks(clock, method, grid)


def _time_saliency(clock: _Clock, name: str, per: str, saliency: Any) -> Timing:  # noqa: ANN401
    loaded, load = clock.loaded(saliency)
    run = loaded.isolate if per == "prompt" else loaded.predict
    return clock.measure(name, per, run, load, loaded.gpu_memory_gb)


def _time_features(clock: _Clock, kind: str, extractor: Any, grid: tuple[int, int]) -> Timing:  # noqa: ANN401
    loaded, load = clock.loaded(extractor)
    mask = np.zeros(clock.image.shape[:2], np.float32)
    mask[100:300, 150:450] = 1
    bank = [loaded.merge([loaded.prompt_features(clock.image, mask)])]
    name, declared = f"features.{kind}", loaded.gpu_memory_gb
    return clock.measure(
        name, "image", lambda image: loaded.compare([image], bank, [grid]), load, declared
    )


def _time_masks(clock: _Clock, method: IPSeg, grid: tuple[int, int]) -> list[Timing]:
    similarity = np.random.default_rng(0).random(grid, np.float32)
    size = (clock.image.shape[1], clock.image.shape[0])
    points = clock.measure("points", "concept", lambda _: method.points.select(similarity, *size))
    segmenter, load = clock.loaded(method.segmenter)
    declared = segmenter.gpu_memory_gb
    encoded = clock.measure(
        "segmenter encode", "image", lambda image: segmenter.encode([image]), load, declared
    )
    prompts = [PointPrompt(*method.points.select(similarity, *size))] * _CONCEPTS
    given = (segmenter.encode([clock.image])[0], prompts, [similarity] * _CONCEPTS)
    together = clock.measure(
        "segmenter decode",
        "concept",
        lambda _: deque(method.refinement.run_many(segmenter, *given), maxlen=0),
        declared=declared,
    )
    each = {name: together[name] / _CONCEPTS for name in ("first", "seconds")}
    return [points, encoded, {**together, **each}]


@dataclass(frozen=True)
class _Clock:
    """Times parts on an image.

    Attributes:
        models: where weights come from and how they run.
        image: (H, W, 3) uint8 RGB.
    """

    models: Models
    image: Image

    def loaded(self, part: Any) -> tuple[Any, float]:  # noqa: ANN401
        """A copy of a part with its weights, which go when the copy goes, and seconds to load."""
        start = time.perf_counter()
        copy = replace(part)
        copy.setup(self.models)
        return copy, time.perf_counter() - start

    def measure(
        self,
        part: str,
        per: str,
        run: Callable[[Image], object],
        load: float = 0.0,
        declared: float | None = None,
    ) -> Timing:
        """Runs it at least twice, and again while there is time."""
        cuda = torch.cuda if declared and self.models.torch_device().type == "cuda" else None
        if cuda is not None:
            cuda.reset_peak_memory_stats()
        taken: list[float] = []
        started = time.perf_counter()
        while len(taken) < 2 or (len(taken) <= _RUNS and time.perf_counter() - started < _PATIENCE):
            image = self.image.copy()  # parts remember what they made of the array they had last
            start = time.perf_counter()
            run(image)
            if cuda is not None:
                cuda.synchronize()
            taken.append(time.perf_counter() - start)
        peak = None if cuda is None else cuda.max_memory_allocated() / 1e9
        first, *later = taken
        return {
            **{"part": part, "per": per, "load": load, "first": first},
            **{"seconds": statistics.median(later), "runs": len(later)},
            **{"gpu_memory_gb": peak, "declared_gb": declared},
        }
