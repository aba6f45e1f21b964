"""Seconds that each part of a profile takes on this machine, with the weights that are here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipseg.config import Config
from ipseg.rows import Image
from ipseg.segmenters.prompt import PointPrompt
from jobs.bench.pictures import photos

_RUNS = 5  # at most; the median counts
_PATIENCE = 20.0  # seconds after which no further run is started
_CONCEPTS = 4  # decoded together


@dataclass(frozen=True)
class Timing:
    """One part.

    Attributes:
        part: as in the profile.
        per: what is counted: 'prompt', 'image' or 'concept' (of an image).
        load: seconds to load its weights; 0 where nothing is loaded.
        first: seconds of the first call, which also sets up what later ones reuse.
        seconds: median of the later calls.
        runs: how many those were.
        gpu_memory_gb: highest GPU memory while it ran, weights included; None without CUDA.
        declared_gb: what the profile declares for it.
    """

    part: str
    per: str
    load: float
    first: float
    seconds: float
    runs: int
    gpu_memory_gb: float | None
    declared_gb: float | None


def time_parts(config: Config) -> list[Timing]:
    """Runs every part of a profile on a photo, each alone.

    Raises:
        WeightsError: weights are missing or damaged.
    """
    image = photos()[0]
    found = [_time("saliency", "prompt", config, config.saliency, config.saliency.isolate, image)]
    mask = np.zeros(image.shape[:2], np.float32)
    mask[100:300, 150:450] = 1
    grid = config.matching.grid_of(image.shape[1], image.shape[0])
    for kind, extractor in config.features.items():
        if extractor.weight == 0:
            continue
        load = _load(config, extractor)
        bank = [extractor.merge([extractor.prompt_features(image, mask)])]

        def compare(image: Image, extractor: Any = extractor, bank: Any = bank) -> None:  # noqa: ANN401
            extractor.compare([image], bank, [grid])

        declared = extractor.gpu_memory_gb
        found.append(_measure(f"features.{kind}", "image", config, compare, image, load, declared))
    return found + _time_masks(config, image, grid)


def _time_masks(config: Config, image: Image, grid: tuple[int, int]) -> list[Timing]:
    random = np.random.default_rng(0)
    similarity = random.random(grid, np.float32)
    height, width = image.shape[:2]

    def select(_image: Image) -> None:
        config.points.select(similarity, width, height)

    found = [_measure("points", "concept", config, select, image, 0.0, None)]
    segmenter = config.segmenter
    load = _load(config, segmenter)

    def encode(image: Image) -> None:
        segmenter.encode([image])

    declared = segmenter.gpu_memory_gb
    found.append(_measure("segmenter encode", "image", config, encode, image, load, declared))
    embedding = segmenter.encode([image])[0]
    coords, labels = config.points.select(similarity, width, height)
    questions = [PointPrompt(coords, labels)] * _CONCEPTS
    maps = [similarity] * _CONCEPTS

    def decode(_image: Image) -> None:
        for _answer in config.refinement.run_many(segmenter, embedding, questions, maps):
            pass

    together = _measure("segmenter decode", "concept", config, decode, image, 0.0, declared)
    each = {"first": together.first / _CONCEPTS, "seconds": together.seconds / _CONCEPTS}
    return [*found, Timing(**(vars(together) | each))]


def _time(
    part: str,
    per: str,
    config: Config,
    component: Any,  # noqa: ANN401
    run: Callable[[Image], object],
    image: Image,
) -> Timing:
    load = _load(config, component)
    return _measure(part, per, config, run, image, load, component.gpu_memory_gb)


def _load(config: Config, component: Any) -> float:  # noqa: ANN401
    start = time.perf_counter()
    component.setup(config.models)
    return time.perf_counter() - start


def _measure(
    part: str,
    per: str,
    config: Config,
    run: Callable[[Image], object],
    image: Image,
    load: float,
    declared: float | None,
) -> Timing:
    cuda = _cuda(config)
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < 2 or (len(taken) <= _RUNS and time.perf_counter() - started < _PATIENCE):
        start = time.perf_counter()
        run(image)
        if cuda is not None:
            cuda.synchronize()
        taken.append(time.perf_counter() - start)
    peak = None if cuda is None else cuda.max_memory_allocated() / 1e9
    return Timing(
        part, per, load, taken[0], statistics.median(taken[1:]), len(taken) - 1, peak, declared
    )


def _cuda(config: Config) -> Any:  # noqa: ANN401
    """The module torch.cuda where parts run on such a card; profiles without torch have none."""
    if not any(hasattr(part, "weights") for part in (*config.features.values(), config.segmenter)):
        return None
    import torch

    return torch.cuda if config.models.torch_device().type == "cuda" else None
