"""A SAM's sizes as the configuration of `transformers.SamModel`."""

from __future__ import annotations

from transformers import SamConfig

from ipseg.segmenters.sam_architecture import DECODER_HEADS, SamArchitecture


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
