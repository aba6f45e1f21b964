"""DINOv2 and DINOv3 through transformers, also from files with the names of their releases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.pretrained import Network, load_network, settings_beside

RELEASED = (".pth", ".pt", ".bin")
_HEAD = 64  # channels of an attention head in all released sizes
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_CLASSES = {
    "dinov2": Dinov2Model,
    "dinov2_with_registers": Dinov2WithRegistersModel,
    "dinov3_vit": DINOv3ViTModel,
}
# Released name -> that of transformers, of both networks and of each.
_SAME = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "attn.proj": "attention.o_proj",
}
_DINOV2 = {
    **_SAME,
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
_DINOV3 = {
    **_SAME,
    "storage_tokens": "embeddings.register_tokens",
    "patch_embed.proj": "embeddings.patch_embeddings",
    "mlp.fc1": "mlp.up_proj",
    "mlp.fc2": "mlp.down_proj",
}


def load_dino(location: str) -> Network:
    """A DINOv2 or DINOv3 with its final norm, float32, on the CPU, in eval mode.

    Args:
        location: a folder from the hub, a .safetensors file next to its config.json, or a .pth file
            as released.

    Raises:
        WeightsError: it is damaged or of another network; names the tensors that do not fit.
    """
    if not location.endswith(RELEASED):
        return load_network(location, _CLASSES, ("classifier.",))
    state = read_state_dict(location)
    return (dinov3_of if "storage_tokens" in state else dinov2_of)(state, location)


def channels_of(location: str) -> int:
    """Channels of the tokens of `load_dino`, without building the network.

    Raises:
        WeightsError: it is damaged or of another network.
    """
    if location.endswith(RELEASED):
        state = read_state_dict(location)
        if "cls_token" not in state:
            raise WeightsError(f"weights file {location} has no DINOv2 or DINOv3: no cls_token")
        return state["cls_token"].shape[-1]
    channels = settings_beside(location).get("hidden_size")
    if not isinstance(channels, int):
        raise WeightsError(f"the config.json of {location} is of no DINOv2 or DINOv3")
    return channels


def dinov2_of(state: Mapping[str, Tensor], path: str | Path) -> Network:
    """A DINOv2 without registers from tensors with the names of the release.

    Args:
        state: all of its tensors.
        path: of the file.

    Raises:
        WeightsError: some are missing, unexpected or of another shape; names them as transformers
            does.
    """
    blocks, (table, patches) = _recognised(state, "DINOv2", path, "pos_embed")
    width, patch = table.shape[-1], patches.shape[-1]
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=max(1, width // _HEAD),
        patch_size=patch,
        image_size=round((table.shape[1] - 1) ** 0.5) * patch,
    )
    with torch.device("meta"):
        network: Network = Dinov2Model(config)
    load_strict(network, _renamed(state, _DINOV2, "encoder.layer"), path)
    return network.requires_grad_(False).eval()


def dinov3_of(state: Mapping[str, Tensor], path: str | Path) -> Network:
    """A DINOv3 ViT-S, B or L from tensors with the names of the release.

    The release has biases of keys and a mask that takes them away again; transformers has none.
    Its frequencies of rotary positions follow from the width of a head.

    Args:
        state: all of its tensors.
        path: of the file.

    Raises:
        WeightsError: some are missing, unexpected or of another shape; names them as transformers
            does.
    """
    needed = ("storage_tokens", "blocks.0.mlp.fc1.bias")
    blocks, (registers, hidden, patches) = _recognised(state, "DINOv3 ViT-S, B or L", path, *needed)
    width = patches.shape[0]
    config = DINOv3ViTConfig(
        hidden_size=width,
        intermediate_size=len(hidden),
        num_hidden_layers=blocks,
        num_attention_heads=max(1, width // _HEAD),
        num_register_tokens=registers.shape[1],
        patch_size=patches.shape[-1],
    )
    # Not on 'meta': its frequencies are no weights, so nothing would fill them in.
    network: Network = DINOv3ViTModel(config)
    kept = {
        name: tensor
        for name, tensor in _renamed(state, _DINOV3, "model.layer").items()
        if not name.endswith(("k_proj.bias", "bias_mask")) and name != "rope_embed.periods"
    }
    if "embeddings.mask_token" in kept:  # (1, c) in the release
        kept["embeddings.mask_token"] = kept["embeddings.mask_token"].reshape(1, 1, -1)
    load_strict(network, kept, path)
    return network.requires_grad_(False).eval()


def _recognised(
    state: Mapping[str, Tensor], kind: str, path: str | Path, *needed: str
) -> tuple[int, list[Tensor]]:
    """The number of blocks, and the tensors from which sizes are read: `needed`, then patches."""
    blocks = {int(match[1]) for name in state if (match := _BLOCK.fullmatch(name))}
    names = (*needed, "patch_embed.proj.weight")
    if not blocks or any(name not in state for name in names):
        raise WeightsError(
            f"weights file {path} has no {kind}: {', '.join(names[:-1])}, patch_embed or blocks "
            f"are missing"
        )
    return max(blocks) + 1, [state[name] for name in names]


def _renamed(
    state: Mapping[str, Tensor], names: Mapping[str, str], layer: str
) -> dict[str, Tensor]:
    """The tensors with the names of transformers; the parts of block N are below `layer`.N."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _BLOCK.fullmatch(name)
        start, rest = (f"{layer}.{match[1]}.", match[2]) if match else ("", name)
        kind = rest.removeprefix("attn.qkv.")
        if kind in ("weight", "bias"):
            for part, third in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{start}attention.{part}_proj.{kind}"] = third
            continue
        whole, _, leaf = rest.rpartition(".")
        found[start + (names.get(rest) or f"{names.get(whole, whole)}.{leaf}")] = tensor
    return found
