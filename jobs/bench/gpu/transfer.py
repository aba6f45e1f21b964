"""Bringing images to the card: memory that is pinned, copies beside computing, decoding on CPUs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
import torch
from torch import Tensor, nn

from ipseg.vision.images import decode, encode_jpeg
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.encoders import ENCODERS
from jobs.bench.photos import photos

_ROUNDS = 8


def measure_transfer(card: Card) -> dict[str, Any]:
    """Copies of a batch, copies beside an encoder, and how many JPEGs the CPUs decode beside it.

    Returns:
        `copied_bytes_per_second` from `pageable` and `pinned` memory; seconds of a batch copied and
        encoded, one after the other (`in_turn`) and with the next copy beside the encoder
        (`overlapped`); and `decoding`: images of 1024 x 683 a second for each number of threads,
        alone and while the encoder runs, with that of the encoder then and alone.
    """
    encoder = ENCODERS["dinov2-base"]
    network = encoder.build(card.device, tiny=card.tiny)
    batch = 1 if card.tiny else 8
    side = encoder.pixels(tiny=card.tiny)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    kinds = {"pageable": images}
    if card.on_card:  # pinning needs its driver
        kinds["pinned"] = images.pin_memory()
    rates = {
        name: each.nbytes / card.measure(lambda each=each: each.to(card.device))["seconds"]
        for name, each in kinds.items()
    }
    source = kinds.get("pinned", images)
    with card.computing(card.precisions[0]):
        in_turn = card.measure(lambda: _in_turn(card, network, source))["seconds"] / _ROUNDS
        beside = card.measure(lambda: _overlapped(card, network, source))["seconds"] / _ROUNDS
        decoding = list(_decoding(card, network, images))
    return {
        "encoder": encoder.name,
        "batch": batch,
        "copied_bytes_per_second": rates,
        "in_turn": in_turn,
        "overlapped": beside,
        "decoding": decoding,
    }


def _in_turn(card: Card, network: nn.Module, source: Tensor) -> None:
    for _ in range(_ROUNDS):
        network(source.to(card.device).float() / 255)
        card.wait()


def _overlapped(card: Card, network: nn.Module, source: Tensor) -> None:
    """The next batch is on its way while this one is encoded."""
    with _aside(card):
        coming = source.to(card.device, non_blocking=True)
    for _ in range(_ROUNDS):
        if card.on_card:
            torch.cuda.current_stream().wait_stream(_copies(card))
        here = coming
        if card.on_card:
            here.record_stream(torch.cuda.current_stream())
        with _aside(card):
            coming = source.to(card.device, non_blocking=True)
        network(here.float() / 255)


_streams: dict[torch.device, torch.cuda.Stream] = {}


def _copies(card: Card) -> torch.cuda.Stream:
    if card.device not in _streams:
        _streams[card.device] = torch.cuda.Stream(card.device)
    return _streams[card.device]


@contextmanager
def _aside(card: Card) -> Iterator[None]:
    """Work that goes on beside that of the encoder; on a CPU there is no such thing."""
    if not card.on_card:
        yield
        return
    with torch.cuda.stream(_copies(card)):
        yield


def _decoding(card: Card, network: nn.Module, images: Tensor) -> Iterator[dict[str, Any]]:
    photo = cv2.resize(photos()[0], (96, 64) if card.tiny else (1024, 683))
    data = encode_jpeg(photo)
    here = images.to(card.device).float() / 255
    seconds = 0.05 if card.tiny else 0.5
    alone = _passes(card, network, here, seconds)
    cores = len(os.sched_getaffinity(0))
    for threads in dict.fromkeys((1, max(1, cores // 2), cores)):
        rate, _ = _decode_for(data, threads, seconds, lambda: time.sleep(seconds))
        beside, passes = _decode_for(
            *(data, threads, seconds), lambda: _passes(card, network, here, seconds)
        )
        yield {
            "threads": threads,
            "decoded_per_second": rate,
            "decoded_per_second_beside": beside,
            "encoded_per_second": alone,
            "encoded_per_second_beside": passes,
        }


def _passes(card: Card, network: nn.Module, here: Tensor, seconds: float) -> float:
    """Images that the encoder takes a second, over some seconds."""
    card.wait()
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        network(here)
        card.wait()
        number += len(here)
    return number / (time.perf_counter() - start)


def _decode_for(data: bytes, threads: int, seconds: float, meanwhile: Any) -> tuple[float, Any]:  # noqa: ANN401
    """Images decoded a second by so many threads while something else runs, and what that gave."""
    end = threading.Event()

    def work() -> int:
        number = 0
        while not end.is_set():
            decode(data)
            number += 1
        return number

    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        working = [pool.submit(work) for _ in range(threads)]
        found = meanwhile()
        end.set()
        number = sum(each.result() for each in working)
        taken = time.perf_counter() - start
    return number / max(taken, seconds), found
