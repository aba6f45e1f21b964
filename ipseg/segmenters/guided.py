"""SAM's mask decoder guided by a target: its attention and its prompt tokens.

Target-guided attention and target-semantic prompting of PerSAM (Zhang et al., ICLR 2024), as in
its released code, for a mask decoder of the package `segment_anything`. The modules are hooked, not
modified, so that the same network can decode prompts without guidance.

It differs from transformers' `SamModel(attention_similarity=, target_embedding=)`, which adds the
attention before its only softmax, and the target one time less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from segment_anything.modeling import MaskDecoder  # type: ignore[import-untyped]
from segment_anything.modeling.transformer import Attention  # type: ignore[import-untyped]
from torch import Tensor


@contextmanager
def guided(decoder: MaskDecoder, attention: Tensor, target: Tensor) -> Iterator[None]:
    """While the body of the `with` runs, B prompts on one image are each guided by a target.

    Args:
        decoder: with weights, of width c.
        attention: (B, h, w) in [0, 1], position of each target.
        target: (B, c) features of each target, on the scale of the image embedding.
    """
    added, guide = target[:, None], attention.flatten(1)[:, None, None]

    def adding_to(name: str) -> Callable[..., Any]:
        return lambda _module, args, given: (args, {**given, name: given[name] + added})

    def attend(
        module: Attention, _args: object, given: dict[str, Tensor], _found: Tensor
    ) -> Tensor:
        return _guided_attention(module, guide, **given)

    transformer = decoder.transformer
    first, *later = transformer.layers
    hooks = [
        # The released code adds the target in place to tokens that are also their positions, so
        # the positions include it from the first layer on.
        transformer.register_forward_pre_hook(lambda _, args: (*args[:2], args[2] + added)),
        *(each.register_forward_pre_hook(adding_to("queries"), with_kwargs=True) for each in later),
        *(
            each.cross_attn_token_to_image.register_forward_hook(attend, with_kwargs=True)
            for each in (first, *later)
        ),
        transformer.final_attn_token_to_image.register_forward_pre_hook(
            adding_to("q"), with_kwargs=True
        ),
    ]
    with ExitStack() as removed:
        for hook in hooks:
            removed.enter_context(hook)
        yield


def _guided_attention(module: Attention, guide: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(softmax(q k / sqrt(d)) + A) v: (B, n, c).

    The second softmax is over values between 0 and 2, so its weights are nearly equal: the tokens
    get approximately the mean over the image, with more weight on the target.
    """

    def heads(vectors: Tensor) -> Tensor:
        return vectors.reshape(*vectors.shape[:2], module.num_heads, -1).transpose(1, 2)

    query, key = heads(module.q_proj(q)), heads(module.k_proj(k))
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
    weights = (weights + guide).softmax(dim=-1)
    return module.out_proj((weights @ heads(module.v_proj(v))).transpose(1, 2).flatten(2))
