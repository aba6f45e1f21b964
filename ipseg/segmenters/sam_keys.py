"""The names SAM's tensors have: as released, and in transformers' `SamModel`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor
from transformers import SamConfig

from ipseg.segmenters.sam_architecture import DECODER_HEADS, SamArchitecture

# Beginnings of names, released and in transformers; {} stands for a number. First match wins.
_NAMES = (
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.{}.norm1.", "vision_encoder.layers.{}.layer_norm1."),
    ("image_encoder.blocks.{}.norm2.", "vision_encoder.layers.{}.layer_norm2."),
    ("image_encoder.blocks.{}.", "vision_encoder.layers.{}."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.", "vision_encoder."),
    (
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    (
        "mask_decoder.transformer.layers.{}.norm",
        "mask_decoder.transformer.layers.{}.layer_norm",
    ),
    (
        "mask_decoder.transformer.norm_final_attn.",
        "mask_decoder.transformer.layer_norm_final_attn.",
    ),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    (
        "mask_decoder.output_hypernetworks_mlps.{}.layers.0.",
        "mask_decoder.output_hypernetworks_mlps.{}.proj_in.",
    ),
    (
        "mask_decoder.output_hypernetworks_mlps.{}.layers.2.",
        "mask_decoder.output_hypernetworks_mlps.{}.proj_out.",
    ),
    (
        "mask_decoder.output_hypernetworks_mlps.{}.layers.1.",
        "mask_decoder.output_hypernetworks_mlps.{}.layers.0.",
    ),
    ("mask_decoder.iou_prediction_head.layers.0.", "mask_decoder.iou_prediction_head.proj_in."),
    ("mask_decoder.iou_prediction_head.layers.2.", "mask_decoder.iou_prediction_head.proj_out."),
    ("mask_decoder.iou_prediction_head.layers.1.", "mask_decoder.iou_prediction_head.layers.0."),
)
_POSITIONS = "shared_image_embedding.positional_embedding"
_POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"  # one tensor, two names


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the released layout -> in that of `transformers.SamModel`."""
    rename = _renaming(_NAMES)
    renamed = {rename(name): tensor for name, tensor in state.items()}
    return renamed | {_POSITIONS_AGAIN: renamed[_POSITIONS]}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the layout of `transformers.SamModel` -> in the released one."""
    rename = _renaming([(theirs, released) for released, theirs in _NAMES])
    return {rename(name): tensor for name, tensor in state.items() if name != _POSITIONS_AGAIN}


def transformers_config(architecture: SamArchitecture) -> SamConfig:
    """The configuration with which `transformers.SamModel` is the same network."""
    sizes = {"image_size": architecture.side, "patch_size": architecture.patch}
    return SamConfig(
        vision_config={
            **sizes,
            "hidden_size": architecture.width,
            "num_hidden_layers": architecture.depth,
            "num_attention_heads": architecture.heads,
            "mlp_dim": architecture.mlp,
            "window_size": architecture.window,
            "global_attn_indexes": list(architecture.global_blocks),
            "output_channels": architecture.embed,
            "num_pos_feats": architecture.embed // 2,
        },
        prompt_encoder_config={
            **sizes,
            "hidden_size": architecture.embed,
            "mask_input_channels": architecture.mask_channels,
        },
        mask_decoder_config={
            "hidden_size": architecture.embed,
            "num_hidden_layers": architecture.decoder_depth,
            "num_attention_heads": DECODER_HEADS,
            "mlp_dim": architecture.decoder_mlp,
            "num_multimask_outputs": architecture.candidates,
            "iou_head_depth": architecture.iou_depth,
            "iou_head_hidden_dim": architecture.iou_hidden,
            # The released two-way blocks keep PyTorch's default; transformers has 1e-6.
            "layer_norm_eps": 1e-5,
        },
    )


def _renaming(names: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    rules = [
        (re.compile(re.escape(old).replace(r"\{\}", r"(\d+)")), new.replace("{}", r"\1"))
        for old, new in names
    ]

    def rename(name: str) -> str:
        for pattern, new in rules:
            if match := pattern.match(name):
                return match.expand(new) + name[match.end() :]
        return name

    return rename
