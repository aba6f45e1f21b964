"""Counting operations on PyTorch's device 'meta': code runs there without numbers or memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx.experimental import _config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

META = torch.device("meta")


def count(run: Callable[[], object]) -> int:
    """Operations of matrix products, convolutions and attention while `run` runs."""
    # SAM picks points by their labels, which 'meta' does not have; no operation depends on them.
    meta_config: Any = _config
    labels = meta_config.patch(meta_nonzero_assume_all_nonzero=True)
    with torch.no_grad(), META, labels, _Truths(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


class _Truths(TorchDispatchMode):  # type: ignore[misc, unused-ignore]
    """Networks check their input, and whether all of a mask is set: 'meta' says it is so."""

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            if args[0].dtype != torch.bool:
                raise RuntimeError("operations depend on a number that 'meta' does not have")
            return True
        return func(*args, **(kwargs or {}))
