"""Running a network on many items within the memory of its GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


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
