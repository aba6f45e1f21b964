"""Counting operations on PyTorch's device 'meta': code runs there without numbers or memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental import _config
from torch.utils.flop_counter import FlopCounterMode

META = torch.device("meta")


def count(run: Callable[[], object]) -> int:
    """Operations of matrix products, convolutions and attention while `run` runs."""
    # SAM picks points by their labels, which 'meta' does not have; no operation depends on them.
    meta_config: Any = _config
    labels = meta_config.patch(meta_nonzero_assume_all_nonzero=True)
    with torch.no_grad(), META, labels, FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
