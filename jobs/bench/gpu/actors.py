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

_WORKERS = 2
_SECONDS = 2.0
_PATIENCE = 120.0  # seconds for all workers to load


def compare_actors(card: Card, encoder: str) -> dict[str, Any]:
    """Images a second of one worker at batch 8, and of two at batch 4 each at the same time.

    The workers are processes, as in a run: each has a CUDA context of its own, also while the other
    one is measured alone. On a CPU, where the code alone is tried, they are threads.
    """
    batch = 2 if card.tiny else 8
    seconds = 0.1 if card.tiny else _SECONDS
    task = partial(work, str(card.device), card.tiny, encoder, batch, seconds)
    with _pool(card) as pool:
        rates = list(pool.map(task, range(_WORKERS)))
    return {
        "encoder": encoder,
        "batch": batch,
        "one": rates[0][0],
        "two": sum(shared for _, shared in rates),
    }


def work(
    device: str, tiny: bool, encoder: str, batch: int, seconds: float, number: int
) -> tuple[float, float]:
    """What one of the workers does: loads, waits for the other one, encodes.

    Returns:
        Images a second, of the first worker alone at `batch`, and at the same time as the other one
        at half of it. The other one's first number is 0.
    """
    card = Card(torch.device(device), tiny)
    network = ENCODERS[encoder].build(card.device, tiny=tiny)

    def rate(images: int) -> float:
        pixels = ENCODERS[encoder].input(images, card)
        start, passes = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            network(pixels)
            card.wait()
            passes += 1
        return passes * images / (time.perf_counter() - start) / ENCODERS[encoder].per_image

    try:
        with card.computing(card.precisions[0]):
            for images in (batch, batch // _WORKERS):
                network(ENCODERS[encoder].input(images, card))
            card.wait()
            _barrier.wait(_PATIENCE)
            alone = rate(batch) if number == 0 else 0.0
            _barrier.wait(_PATIENCE)
            return alone, rate(batch // _WORKERS)
    except BaseException:
        _barrier.abort()  # the other one need not wait
        raise


_barrier: Any = None


def _meet_at(barrier: Any) -> None:  # noqa: ANN401  (a Barrier of threading or of multiprocessing)
    global _barrier  # noqa: PLW0603  (a barrier reaches a worker when it starts, in no other way)
    _barrier = barrier


def _pool(card: Card) -> Executor:
    if not card.on_card:
        barrier = threading.Barrier(_WORKERS)
        return ThreadPoolExecutor(_WORKERS, initializer=_meet_at, initargs=(barrier,))
    context = get_context("spawn")  # a forked process cannot use CUDA
    return ProcessPoolExecutor(_WORKERS, context, _meet_at, (context.Barrier(_WORKERS),))
