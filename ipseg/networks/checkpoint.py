"""Reading a `torch.save`d state dict from an untrusted file."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ipseg.errors import WeightsError

_LISTED = 3  # names in an error message; the rest is counted
# What checkpoints of a training have beside tensors: its options, and its last scores. None of it
# runs code.
HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
]


def read_state_dict(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU. Never executes code from the file (`weights_only=True`).

    Args:
        path: of the file.
        key: under which the state dict is, in a checkpoint of a training; None if it is all there
            is.

    Raises:
        WeightsError: the file is missing, truncated, contains more than tensors, or no state dict.
    """
    remedy = "get it again with `ipseg weights fetch PROFILE`"
    try:
        with torch.serialization.safe_globals(HARMLESS if key else []):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's message suggests loading the file anyway, so it is not repeated here.
        code = re.search(r"GLOBAL (\S+)", str(error))
        such_as = f" such as {code[1]}" if code else ""
        raise WeightsError(
            f"weights file {path} was refused: it is damaged, or contains Python objects that "
            f"could run code{such_as}, not only tensors; {remedy}"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise WeightsError(
            f"cannot read weights file {path}: missing, truncated or not a PyTorch file "
            f"({reason}); {remedy}"
        ) from error
    if key is not None:
        if not isinstance(found, Mapping) or key not in found:
            raise WeightsError(
                f"weights file {path} has no '{key}', under which this network's checkpoint keeps "
                f"its tensors; name the right file in the setting `weights`"
            )
        found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(
            f"weights file {path} contains a {type(found).__name__}, not a plain state dict (names "
            f"and tensors); {remedy}"
        )
    return dict(found)


def load_strict(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Loads a state dict into a module, replacing its tensors (so it can be on 'meta').

    Raises:
        WeightsError: tensors are missing or unexpected, or shapes differ; names the file, and the
            count and the first three of each.
    """
    wanted = module.state_dict()
    faults = [
        listed_tensors("missing", [name for name in wanted if name not in state]),
        listed_tensors("not of this model", [name for name in state if name not in wanted]),
        listed_tensors(
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
                for name, tensor in wanted.items()
                if name in state and state[name].shape != tensor.shape
            ],
        ),
    ]
    if any(faults):
        raise WeightsError(
            f"weights file {path} does not fit {type(module).__name__} ({len(wanted)} tensors): "
            f"{'; '.join(filter(None, faults))}. Name the right file in the setting "
            f"`weights`, or get it with `ipseg weights fetch PROFILE`"
        )
    module.load_state_dict(state, strict=True, assign=True)


def listed_tensors(what: str, names: Sequence[str]) -> str:
    """How many tensors are wrong in some way, and the first three; "" for none."""
    if not names:
        return ""
    more = ", ..." if len(names) > _LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:_LISTED])}{more})"
