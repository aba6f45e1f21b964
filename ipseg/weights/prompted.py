"""Architectures of networks that are prompted by images or names, and tiny versions of them."""

from __future__ import annotations

from typing import Any

from transformers import (
    GroupViTConfig,
    GroupViTModel,
    Sam3Config,
    Sam3Model,
    SegGptConfig,
    SegGptForImageSegmentation,
)

SEGGPT = "BAAI/seggpt-vit-large"
SAM3 = "facebook/sam3"
GROUPVIT = "nvidia/groupvit-gcc-yfcc"

_BYTES = 514  # words of the tiny tokenizer
_READER = {"vocab_size": _BYTES, "bos_token_id": _BYTES - 2, "eos_token_id": _BYTES - 1}
_SMALL = {"hidden_size": 16, "num_attention_heads": 2}

_TINY_SEGGPT: dict[str, Any] = {
    **_SMALL,
    "num_hidden_layers": 6,
    "mlp_dim": 32,
    "decoder_hidden_size": 4,
    "image_size": (192, 96),
    "pretrain_image_size": 48,
    "intermediate_hidden_state_indices": (2, 3, 4, 5),
}
_DETR = {**_SMALL, "intermediate_size": 16}
_TINY_SAM3: dict[str, Any] = {
    "vision_config": {
        "backbone_config": {
            "model_type": "sam3_vit_model",
            **_SMALL,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "image_size": 112,
            "pretrain_image_size": 56,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    },
    "text_config": {
        "model_type": "clip_text_model",
        **_SMALL,
        **_READER,
        "intermediate_size": 32,
        "projection_dim": 16,
        "num_hidden_layers": 1,
        "max_position_embeddings": 32,
    },
    "geometry_encoder_config": {**_DETR, "num_layers": 1, "roi_size": 3},
    "detr_encoder_config": {**_DETR, "num_layers": 1},
    "detr_decoder_config": {**_DETR, "num_layers": 2, "num_queries": 5},
    "mask_decoder_config": _SMALL,
}
_TINY_GROUPVIT: dict[str, Any] = {
    "text_config": {**_SMALL, **_READER, "intermediate_size": 32, "num_hidden_layers": 1},
    "vision_config": {
        **_SMALL,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "depths": [1, 1, 1],
        "num_group_tokens": [8, 4, 0],
        "num_output_groups": [8, 4, 4],
        "image_size": 64,
    },
    "projection_dim": 16,
    "projection_intermediate_dim": 16,
}

# Hub id -> class of the network, of its configuration, hyperparameters that differ from the
# defaults as published, and in the tiny one.
PROMPTED: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    SEGGPT: (SegGptForImageSegmentation, SegGptConfig, {}, _TINY_SEGGPT),
    SAM3: (Sam3Model, Sam3Config, {}, _TINY_SAM3),
    GROUPVIT: (GroupViTModel, GroupViTConfig, {}, _TINY_GROUPVIT),
}
