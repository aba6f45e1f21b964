"""Sizes of SAM 2, and of a tiny one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def sam2_sizes(
    width: int,
    heads: int,
    blocks: Sequence[int],
    attend_globally: Sequence[int],
    window: int,
    side: int = 1024,
) -> dict[str, Any]:
    """Hyperparameters of `transformers.Sam2Config`.

    Channels and heads double from one stage of the image encoder, a Hiera, to the next.

    Args:
        width: channels of the first stage.
        heads: of the first stage.
        blocks: of each stage.
        attend_globally: indices of blocks.
        window: patches along the windows of the third stage; the fourth has half of them.
        side: of the input square, pixels.
    """
    widths = [width << stage for stage in range(len(blocks))]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [side, side],
        "hidden_size": width,
        "num_attention_heads": heads,
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [heads << stage for stage in range(len(blocks))],
        "blocks_per_stage": list(blocks),
        "global_attention_blocks": list(attend_globally),
        "window_size_per_stage": [8, 4, window, window // 2],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[side // pixels] * 2 for pixels in (4, 8, 16)],
    }
    return {"vision_config": vision}


def tiny_sam2(blocks: Sequence[int], attend_globally: Sequence[int], side: int) -> dict[str, Any]:
    """The same for a tiny one with as many blocks."""
    numbers = sam2_sizes(4, 1, blocks, attend_globally, 8, side)
    numbers["vision_config"]["fpn_hidden_size"] = 32
    return numbers | {
        "prompt_encoder_config": {"image_size": side, "hidden_size": 32},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 32, "iou_head_hidden_dim": 32},
    }
