"""Networks of counters from their released files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models

Network = TypeVar("Network", bound=nn.Module)


def load_counter(
    models: Models,
    weights: str,
    key: str,
    sizes: Callable[[Mapping[str, Tensor]], Any],
    make: Callable[[Any], Network],
    name: str,
) -> Network:
    """A network with its weights, on the CPU as stored.

    Args:
        models: says where weights are.
        weights: name of the file.
        key: of the state dict in the file.
        sizes: reads the sizes off a state dict; raises KeyError for that of another network.
        make: makes a network of these sizes.
        name: of the counter, for messages.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    path = models.locate(weights)
    state = read_state_dict(path, key)
    try:
        found = sizes(state)
    except KeyError as error:
        raise WeightsError(
            f"weights file {path} is not of {name}: it has no {error}; name the right file in the "
            f"setting `weights`"
        ) from error
    with torch.device("meta"):  # skips the initialisation
        network = make(found)
    load_strict(network, state, path)
    return network
