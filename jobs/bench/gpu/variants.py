"""Other ways to run an encoder: memory layout, attention kernels, graphs, compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.attention import SDPBackend, sdpa_kernel

from jobs.bench.gpu.card import CANNOT, Card, Point, first_line
from jobs.bench.gpu.encoders import Encoder

_BATCH = 4
# Classes of blocks in DINOv2, in SAM, and in the UNet and the VAE of Stable Diffusion.
_BLOCKS = ("Dinov2Layer", "Block", "BasicTransformerBlock", "ResnetBlock2D")
_GRAPHS = 64
_KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def compare_variants(card: Card, encoder: Encoder) -> dict[str, Any]:
    """Runs the encoder in each way, in the usual precision.

    Returns:
        `batch`, and for each of `variants` its name and what `Card.measure` gives, or the `error`
        of one that this card, this network or this PyTorch does not have.
    """
    network = encoder.build(card.device, tiny=card.tiny)
    batch = 1 if card.tiny else _BATCH
    pixels = encoder.input(batch, card)
    precision = card.precisions[0]
    found = []
    for name, run in _variants(card, network, pixels, precision):
        if card.late and found:
            break
        found.append({"variant": name, **_tried(card, run, precision)})
    return {"batch": batch, "precision": precision, "variants": found, "cut_short": card.late}


def compile_encoder(card: Card, encoder: Encoder) -> dict[str, Any]:
    """Seconds of a pass as it is and compiled; the first compiled pass compiles.

    The blocks that the network repeats are compiled, not all of it at once: what they have in
    common is compiled once, which takes seconds in place of minutes.

    Returns:
        `batch`, `precision`, the number of `blocks` and of different `graphs` that they came to,
        and what `Card.measure` gives, or the `error`, for `eager` and `compiled`.

    Raises:
        ValueError: the network has no such blocks.
    """
    network = encoder.build(card.device, tiny=card.tiny)
    pixels = encoder.input(1 if card.tiny else _BATCH, card)
    blocks = [each for each in network.modules() if type(each).__name__ in _BLOCKS]
    if not blocks:
        raise ValueError(f"{encoder.name} has none of the blocks {', '.join(_BLOCKS)}")
    before = counters["stats"]["unique_graphs"]
    found = {"eager": _tried(card, lambda: network(pixels), card.precisions[0])}
    # Each shape of a block is a graph of its own; PyTorch gives up after eight.
    with torch._dynamo.config.patch(recompile_limit=_GRAPHS):
        for block in blocks:
            # The CPU's backend needs a compiler of its own; what is traced is the same.
            block.compile(backend="inductor" if card.on_card else "eager", dynamic=False)
        found["compiled"] = _tried(card, lambda: network(pixels), card.precisions[0])
    torch.compiler.reset()
    return {
        "batch": len(pixels),
        "precision": card.precisions[0],
        "blocks": len(blocks),
        "graphs": counters["stats"]["unique_graphs"] - before,
        **found,
    }


def _tried(card: Card, run: Callable[[], object], precision: str) -> Point:
    try:
        with card.computing(precision):
            return card.measure(run)
    except CANNOT as error:
        return {"error": first_line(error)}


def _variants(
    card: Card, network: nn.Module, pixels: Tensor, precision: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "as it is", lambda: network(pixels)
    for name, kernel in _KERNELS.items():

        def attending(kernel: SDPBackend = kernel) -> object:
            with sdpa_kernel(kernel):
                return network(pixels)

        yield f"attention kernel: {name}", attending
    last = pixels.contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)  # for good, so it comes after the others
    yield "channels last", lambda: network(last)
    dtype = getattr(torch, precision)
    network.to(dtype)
    here = last.to(dtype)
    yield f"weights in {precision}", lambda: network(here)
    if card.on_card:  # last, because what a failed capture leaves behind is not certain
        yield "CUDA graph of that", _captured(card, network, here)


def _captured(card: Card, network: nn.Module, pixels: Tensor) -> Callable[[], object]:
    """Captures one pass at the first call and replays it."""
    graph = torch.cuda.CUDAGraph()
    ready = False

    def run() -> None:
        nonlocal ready
        if not ready:
            with torch.cuda.stream(torch.cuda.Stream(card.device)):
                network(pixels)  # what is set up by a first pass must not be captured
            card.wait()
            with torch.cuda.graph(graph):
                network(pixels)
            ready = True
        graph.replay()

    return run
