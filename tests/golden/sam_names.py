"""Released SAM weights under the names of `transformers.SamModel`, to compare the two."""

from __future__ import annotations

import re

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


def to_transformers(state):
    """A state dict in the released layout -> in that of `transformers.SamModel`."""
    renamed = {rename(name): tensor for name, tensor in state.items()}
    return renamed | {_POSITIONS_AGAIN: renamed[_POSITIONS]}


def rename(name):
    for old, new in _NAMES:
        pattern = re.escape(old).replace(r"\{\}", r"(\d+)")
        if match := re.match(pattern, name):
            return match.expand(new.replace("{}", r"\1")) + name[match.end() :]
    return name
