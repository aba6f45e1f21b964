"""Running a network on many items within the memory of its GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_MOST = 16  # items at once; larger batches are not faster, and rows come in few at a time
_CONTEXT_GB = 0.5  # what CUDA and its libraries take, of what a part declares


def in_micro_batches(
    function: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    size: int | None = None,
) -> list[Result]:
    """Calls `function` on slices of `items`, halving them when GPU memory runs out.

    The smaller size is kept for the rest of this call, because a size that did not fit once rarely
    fits later.

    Args:
        function: n items to n results, in the same order; it must not modify its items, because it
            can get them twice.
        items: any number, including none.
        size: items in the first call, >= 1; None means all.

    Returns:
        One result for each item, in order.

    Raises:
        torch.OutOfMemoryError: a single item does not fit.
    """
    results: list[Result] = []
    size = min(size or len(items), len(items))
    while len(results) < len(items):
        part = items[len(results) : len(results) + size]
        done = _unless_out_of_memory(function, part)
        if done is None:
            # Not in an `except` block, where the traceback would still refer to the tensors of the
            # failed attempt.
            torch.cuda.empty_cache()
            size = (len(part) + 1) // 2
            _log.warning(
                "out of GPU memory with %d items at once; continuing with %d", len(part), size
            )
            continue
        if len(done) != len(part):
            raise ValueError(f"{len(part)} items gave {len(done)} results")
        results.extend(done)
    return results


def _unless_out_of_memory(
    function: Callable[[Sequence[Item]], Sequence[Result]], part: Sequence[Item]
) -> Sequence[Result] | None:
    try:
        return function(part)
    except torch.OutOfMemoryError:
        if len(part) == 1:
            raise
        return None


def at_once(
    run: Callable[[int], object], network: nn.Module, memory_gb: float, most: int = _MOST
) -> int | None:
    """How many items a network on an NVIDIA card takes at once within the memory it declares.

    The process is held to that memory while this is tried, so that what other workers have on the
    card stays theirs.

    Args:
        run: runs the network on so many items.
        network: loaded.
        memory_gb: GPU memory for its weights, its activations and CUDA, in GB.
        most: items that are tried.

    Returns:
        1, 2, 4 ... up to `most`; None where the network is not on an NVIDIA card.
    """
    parameter = next(network.parameters())
    if parameter.device.type != "cuda":
        return None
    weights = sum(each.nbytes for each in (*network.parameters(), *network.buffers()))
    room = (memory_gb - _CONTEXT_GB) * 1e9 - weights
    with _room_for(room, parameter.device):
        number = most_at_once(run, most)
    _log.info("%s: %d at once in %g GB", type(network).__name__, number, memory_gb)
    return number


def most_at_once(run: Callable[[int], object], most: int = _MOST) -> int:
    """The largest of 1, 2, 4 ... up to `most` items that does not run out of memory; at least 1."""
    number = 1
    while number * 2 <= most and _runs(run, number * 2):
        number *= 2
    return number


def _runs(run: Callable[[int], object], number: int) -> bool:
    try:
        run(number)
    except torch.OutOfMemoryError:
        return False
    return True


@contextmanager
def _room_for(room: float, device: torch.device) -> Iterator[None]:
    """Lets this process take `room` bytes on a card beyond what it has there."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    limit = torch.cuda.memory_reserved(device) + max(room, 0)
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
