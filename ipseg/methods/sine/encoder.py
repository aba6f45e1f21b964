"""DINOv2 through transformers, from a folder of it or from tensors with the released names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from ipseg.errors import WeightsError
from ipseg.features.dinov2 import Dinov2, use_reference_positions
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.pretrained import Network, load_network

_HEAD = 64  # channels of an attention head in all released sizes
_FILES = (".pth", ".pt", ".bin")
# Released name -> that of transformers; the parts of a block are below `encoder.layer.N.`.
_NAMES = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
    "attn.proj": "attention.o_proj",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def load_encoder(location: str) -> Network:
    """The encoder in a folder, a .safetensors file next to its config.json, or a released file.

    Raises:
        WeightsError: it is damaged, or no DINOv2 without registers.
    """
    if location.endswith(_FILES):
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
    blocks = {int(match[1]) for name in state if (match := _BLOCK.fullmatch(name))}
    table, patches = state.get("pos_embed"), state.get("patch_embed.proj.weight")
    if table is None or patches is None or not blocks:
        raise WeightsError(
            f"weights file {path} has no DINOv2: pos_embed, patch_embed or blocks are missing"
        )
    width, patch = table.shape[-1], patches.shape[-1]
    side = round((table.shape[1] - 1) ** 0.5) * patch
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=max(blocks) + 1,
        num_attention_heads=max(1, width // _HEAD),
        patch_size=patch,
        image_size=side,
    )
    with torch.device("meta"):
        network: Network = Dinov2Model(config)
    load_strict(network, _renamed(state), path)
    return _ready(network.requires_grad_(False).eval())


def cells_of(encoder: Network, pixels: Tensor) -> Tensor:
    """Features of canvases: (b, 3, H, W) normalised pixels -> (b, e, h, w) float32."""
    patch = int(encoder.config.patch_size)
    tokens = encoder(pixels).last_hidden_state[:, 1:].float()
    grid = [length // patch for length in pixels.shape[2:]]
    return tokens.transpose(1, 2).reshape(len(pixels), -1, *grid)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _BLOCK.fullmatch(name)
        start, rest = (f"encoder.layer.{match[1]}.", match[2]) if match else ("", name)
        if rest.startswith("attn.qkv."):
            kind = rest.removeprefix("attn.qkv.")
            for part, third in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{start}attention.{part}_proj.{kind}"] = third
            continue
        whole, _, leaf = rest.rpartition(".")
        new = _NAMES.get(rest) or f"{_NAMES.get(whole, whole)}.{leaf}"
        found[start + new] = tensor
    return found


def _ready(network: Network) -> Network:
    """Gives the tokens after the last block, before the final norm; positions as released."""
    network.layernorm = nn.Identity()
    use_reference_positions(network)
    return network
