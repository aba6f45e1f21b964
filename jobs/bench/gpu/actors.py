"""Two workers that share a card, against one with a batch twice as large."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch

from jobs.bench.gpu.card import Card
from jobs.bench.gpu.encoders import ENCODERS

_SECONDS = 3.0
_PATIENCE = 120.0  # seconds for all workers to load


def compare_actors(card: Card, encoder: str) -> dict[str, Any]:
    """Images a second of one worker at batch 8, and of two at batch 4 each at the same time.

    The workers are processes, as in a run: each has a CUDA context of its own. On a CPU, where the
    code alone is tried, they are threads.
    """
    batch = 2 if card.tiny else 8
    seconds = 0.1 if card.tiny else _SECONDS
    found: dict[str, Any] = {"encoder": encoder, "batch": batch}
    for name, workers in (("one", 1), ("two", 2)):
        task = partial(work, str(card.device), card.tiny, encoder, batch // workers, seconds)
        with _pool(card, workers) as pool:
            rates = [each.result() for each in [pool.submit(task) for _ in range(workers)]]
        found[name] = sum(rates)
    return found


def work(device: str, tiny: bool, encoder: str, batch: int, seconds: float) -> float:
    """What one worker does: loads, waits for the other one, encodes; images a second."""
    card = Card(torch.device(device), tiny)
    network = ENCODERS[encoder].build(card.device, tiny=tiny)
    pixels = ENCODERS[encoder].input(batch, card)
    with card.computing(card.precisions[0]):
        network(pixels)
        card.wait()
        _barrier.wait(_PATIENCE)
        start, passes = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            network(pixels)
            card.wait()
            passes += 1
    return passes * batch / (time.perf_counter() - start) / ENCODERS[encoder].per_image


_barrier: Any = None


def _meet_at(barrier: Any) -> None:  # noqa: ANN401  (a Barrier of threading or of multiprocessing)
    global _barrier  # noqa: PLW0603  (a barrier reaches a worker when it starts, in no other way)
    _barrier = barrier


def _pool(card: Card, workers: int) -> Executor:
    if not card.on_card:
        barrier = threading.Barrier(workers)
        return ThreadPoolExecutor(workers, initializer=_meet_at, initargs=(barrier,))
    context = get_context("spawn")  # a forked process cannot use CUDA
    return ProcessPoolExecutor(workers, context, _meet_at, (context.Barrier(workers),))
