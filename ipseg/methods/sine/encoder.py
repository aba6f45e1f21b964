"""DINOv2 as SINE uses it: tokens after the last block, positions as released."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from transformers import Dinov2Model

from ipseg.features.dinov2 import Dinov2, use_reference_positions
from ipseg.networks.checkpoint import read_state_dict
from ipseg.networks.dino import RELEASED, dinov2_of
from ipseg.networks.pretrained import Network, load_network


def load_encoder(location: str) -> Network:
    """The encoder in a folder, a .safetensors file next to its config.json, or a released file.

    Raises:
        WeightsError: it is damaged, or no DINOv2 without registers.
    """
    if location.endswith(RELEASED):
        return encoder_of(read_state_dict(location), location)
    return _ready(load_network(location, {"dinov2": Dinov2Model}, Dinov2.ignored))


def encoder_of(state: Mapping[str, Tensor], path: str | Path) -> Network:
    """The encoder from tensors with the names of the release.

    Args:
        state: all tensors of a DINOv2 without registers.
        path: of the file.

    Raises:
        WeightsError: some are missing, unexpected or of another shape; names them as transformers
            does.
    """
    return _ready(dinov2_of(state, path))


def cells_of(encoder: Network, pixels: Tensor) -> Tensor:
    """Features of canvases: (b, 3, H, W) normalised pixels -> (b, e, h, w) float32."""
    patch = int(encoder.config.patch_size)
    tokens = encoder(pixels).last_hidden_state[:, 1:].float()
    grid = [length // patch for length in pixels.shape[2:]]
    return tokens.transpose(1, 2).reshape(len(pixels), -1, *grid)


def _ready(network: Network) -> Network:
    """Gives the tokens after the last block, before the final norm; positions as released."""
    network.layernorm = nn.Identity()
    use_reference_positions(network)
    return network
