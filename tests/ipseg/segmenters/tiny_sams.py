"""Random networks of every class of the SAM family, with a grid of 8 x 8."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    PreTrainedModel,
    Sam2Config,
    Sam2Model,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3VideoConfig,
    Sam3VideoModel,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamModel,
)

SIZES = {"image_size": 128, "patch_size": 16}
DECODER = {"hidden_size": 64, "mlp_dim": 64, "iou_head_hidden_dim": 32}
BACKBONE = {
    "image_size": [128, 128],
    "hidden_size": 8,
    "num_attention_heads": 1,
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 2, 4, 8],
    "window_size_per_stage": [4, 2, 4, 2],
    "global_attention_blocks": [3],
    "window_positional_embedding_background_size": [2, 2],
}
VISION = {
    **SIZES,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_dim": 64,
    "window_size": 3,
    "global_attn_indexes": [1],
    "output_channels": 64,
    "num_pos_feats": 32,
    "initializer_range": 0.2,
}
KINDS = ("sam", "sam_hq", "sam2", "sam3_tracker")
# The grid of 8 x 8 that the others have.
SAM3_SIZES = {"image_size": 112, "patch_size": 14}
SAM3_VISION = {
    "backbone_config": {
        "model_type": "sam3_vit_model",
        "image_size": 112,
        "pretrain_image_size": 56,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "window_size": 4,
        "global_attn_indexes": [1],
        "initializer_range": 0.2,
    },
    "fpn_hidden_size": 64,
    "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
}


def tiny(kind: str) -> PreTrainedModel:
    """A random model of one of `KINDS`."""
    torch.manual_seed(0)
    prompts = {**SIZES, "hidden_size": 64}
    if kind == "sam3_tracker":
        config = Sam3TrackerConfig(
            vision_config={**SAM3_VISION, "scale_factors": [4.0, 2.0, 1.0]},
            prompt_encoder_config={**prompts, **SAM3_SIZES},
            mask_decoder_config=DECODER,
        )
        model = Sam3TrackerModel(config).eval()
        torch.nn.init.normal_(model.no_memory_embedding)
        return model
    if kind == "sam2":
        vision = {
            "backbone_config": {"model_type": "sam2_hiera_det_model", **BACKBONE},
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 64,
        }
        config = Sam2Config(
            vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=DECODER
        )
        return Sam2Model(config).eval()
    parts = {"vision_config": VISION, "prompt_encoder_config": prompts}
    if kind == "sam":
        return SamModel(SamConfig(**parts, mask_decoder_config=DECODER)).eval()
    decoder = {**DECODER, "vit_dim": 32}
    return SamHQModel(SamHQConfig(**parts, mask_decoder_config=decoder)).eval()


def write_sam3(folder: Path) -> Sam3VideoModel:
    """The published form of SAM 3: detector and tracker share the vision encoder."""
    wide = {"hidden_size": 64, "num_attention_heads": 2, "num_layers": 1, "intermediate_size": 32}
    # The tracker of a video has a memory beside what takes points.
    memory = {
        "memory_attention_hidden_size": 64,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_encoder_hidden_size": 64,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": 64,
        "memory_fuser_embed_dim": 64,
        "memory_fuser_intermediate_dim": 32,
    }
    config = Sam3VideoConfig(
        detector_config={
            "vision_config": SAM3_VISION,
            "text_config": {
                "vocab_size": 514,
                "hidden_size": 32,
                "intermediate_size": 64,
                "projection_dim": 64,
                "bos_token_id": 512,
                "eos_token_id": 513,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "max_position_embeddings": 32,
            },
            "geometry_encoder_config": {**wide, "roi_size": 3},
            "detr_encoder_config": wide,
            "detr_decoder_config": {**wide, "num_queries": 5},
            "mask_decoder_config": {"hidden_size": 64, "num_attention_heads": 2},
        },
        tracker_config={
            "image_size": 112,
            "vision_config": SAM3_VISION,
            "prompt_encoder_config": {**SAM3_SIZES, "hidden_size": 64},
            "mask_decoder_config": DECODER,
            **memory,
        },
    )
    torch.manual_seed(1)
    model = Sam3VideoModel(config).eval()
    torch.nn.init.normal_(model.tracker_model.no_memory_embedding)
    # Not by `save_pretrained`, which names the tracker's tensors tracker_model.tracker_model.
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)
    return model
