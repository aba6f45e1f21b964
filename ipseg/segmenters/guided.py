"""SAM's mask decoder guided by a target: its attention and its prompt tokens.

Target-guided attention and target-semantic prompting of PerSAM (Zhang et al., ICLR 2024), as in
its released code, with the modules of a mask decoder of the package `segment_anything`. These are
not modified, so that the same network can decode prompts without guidance.

It differs from transformers' `SamModel(attention_similarity=, target_embedding=)`, which adds the
attention before its only softmax, and the target one time less.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling import (  # type: ignore[import-untyped]
    MaskDecoder,
    TwoWayTransformer,
)
from segment_anything.modeling.transformer import (  # type: ignore[import-untyped]
    Attention,
    TwoWayAttentionBlock,
)
from torch import Tensor


def guided_decode(
    decoder: MaskDecoder,
    image: Tensor,
    image_positions: Tensor,
    sparse: Tensor,
    dense: Tensor,
    attention: Tensor,
    target: Tensor,
    *,
    multimask: bool,
) -> tuple[Tensor, Tensor]:
    """Decodes B prompts on one image, each with its own target.

    Args:
        decoder: with weights, of width c.
        image: (1, c, h, w) image embedding.
        image_positions: (1, c, h, w) positional encoding of its cells.
        sparse: (B, n, c) points and boxes from the prompt encoder.
        dense: (B, c, h, w) mask inputs from the prompt encoder.
        attention: (B, h, w) in [0, 1], position of each target.
        target: (B, c) features of each target, on the scale of `image`.
        multimask: all candidates except the first, or only the first.

    Returns:
        Logits (B, C, 4 h, 4 w) and predicted IoU (B, C).
    """
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output.expand(len(sparse), -1, -1), sparse], dim=1)
    cells = image + dense
    tokens, attended = _transform(
        decoder.transformer,
        cells.flatten(2).transpose(1, 2),
        image_positions.flatten(2).transpose(1, 2),
        tokens,
        attention.flatten(1),
        target[:, None],
    )
    fine = decoder.output_upscaling(attended.transpose(1, 2).reshape(cells.shape))
    chosen = slice(1, None) if multimask else slice(0, 1)
    masks = tokens[:, 1 : 1 + decoder.num_mask_tokens].unbind(1)
    heads = list(zip(decoder.output_hypernetworks_mlps, masks, strict=True))[chosen]
    filters = torch.stack([head(token) for head, token in heads], dim=1)
    logits = torch.einsum("bmc,bchw->bmhw", filters, fine)
    return logits, decoder.iou_prediction_head(tokens[:, 0])[:, chosen]


def _transform(
    transformer: TwoWayTransformer,
    cells: Tensor,
    cell_positions: Tensor,
    tokens: Tensor,
    attention: Tensor,
    target: Tensor,
) -> tuple[Tensor, Tensor]:
    """Tokens (B, n, c) and cells (B, h * w, c) after the two-way transformer."""
    # The released code adds the target in place to tokens that are also their positions, so the
    # positions include it from the first layer on.
    positions = tokens + target
    queries = tokens
    for layer in transformer.layers:
        queries, cells = _layer(
            layer, queries + target, cells, positions, cell_positions, attention
        )
    query = queries + positions + target
    found = transformer.final_attn_token_to_image(q=query, k=cells + cell_positions, v=cells)
    return transformer.norm_final_attn(queries + found), cells


def _layer(
    layer: TwoWayAttentionBlock,
    queries: Tensor,
    cells: Tensor,
    positions: Tensor,
    cell_positions: Tensor,
    attention: Tensor,
) -> tuple[Tensor, Tensor]:
    """One two-way block with guided attention from tokens to the image."""
    if layer.skip_first_layer_pe:
        queries = layer.self_attn(q=queries, k=queries, v=queries)
    else:
        placed = queries + positions
        queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
    queries = layer.norm1(queries)

    guided = _guided_attention(
        layer.cross_attn_token_to_image,
        queries + positions,
        cells + cell_positions,
        cells,
        attention,
    )
    queries = layer.norm2(queries + guided)
    queries = layer.norm3(queries + layer.mlp(queries))

    answered = layer.cross_attn_image_to_token(
        q=cells + cell_positions, k=queries + positions, v=queries
    )
    return queries, layer.norm4(cells + answered)


def _guided_attention(
    module: Attention, query: Tensor, key: Tensor, value: Tensor, attention: Tensor
) -> Tensor:
    """softmax(softmax(q k / sqrt(d)) + A) v: (B, n, c).

    The second softmax is over values between 0 and 2, so its weights are nearly equal: the tokens
    get approximately the mean over the image, with more weight on the target.
    """

    def heads(vectors: Tensor) -> Tensor:
        return vectors.reshape(*vectors.shape[:2], module.num_heads, -1).transpose(1, 2)

    q, k, v = (
        heads(project(vectors))
        for project, vectors in (
            (module.q_proj, query),
            (module.k_proj, key),
            (module.v_proj, value),
        )
    )
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    weights = (weights + attention[:, None, None]).softmax(dim=-1)
    return module.out_proj((weights @ v).transpose(1, 2).flatten(2))
