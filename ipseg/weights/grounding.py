"""Sizes of a tiny GroundingDINO."""

from __future__ import annotations

from typing import Any

# Words of the tiny detector: the real positions of the four that its attention goes by.
GROUNDING_WORDS = 1030
TINY_GROUNDING: dict[str, Any] = {
    "backbone_config": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "out_indices": [2, 3, 4],
    },
    "text_config": {
        "model_type": "bert",
        "vocab_size": GROUNDING_WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "d_model": 32,
    "num_queries": 20,
    "encoder_layers": 1,
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_layers": 2,  # tied to each other, which one cannot be
    "decoder_ffn_dim": 32,
    "decoder_attention_heads": 2,
}
