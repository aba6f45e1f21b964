"""What networks get to see, counted while they work."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ipseg.networks.shared import LastBatch


@dataclass
class Seen:
    """What was seen.

    Attributes:
        pixels: (weights, pixels) -> how often a network began with these.
        batches: part that remembers its last batch -> how often it computed one.
    """

    pixels: Counter[tuple[str, str]] = field(default_factory=Counter)
    batches: Counter[int] = field(default_factory=Counter)


@contextmanager
def watched() -> Iterator[Seen]:
    """Counts what is seen within.

    A network begins with a convolution over three colours; a copy of it has the same weights.
    """
    seen = Seen()

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            weights = _digest(module.weight)
            seen.pixels.update((weights, _digest(image)) for image in given[0])

    def get(self: LastBatch, images: Any, compute: Any, key: object = None) -> Any:
        def counted() -> Any:
            seen.batches[id(self)] += 1
            return compute()

        return remember(self, images, counted, key)

    remember = LastBatch.get
    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LastBatch, "get", get)
            yield seen
    finally:
        hook.remove()


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
