"""The layers of SINE's M-Former, with the names of the released tensors.

Tokens are (n, c) without a batch: references belong to one target. Two kinds of layers: the fusion
of references and target normalises after each part, the decoder before it.

Source: SINE (Liu et al., NeurIPS 2024), released code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS = 8  # of all attention; the only number of the M-Former that no shape depends on


class ChannelNorm(nn.Module):
    """LayerNorm of (b, c, h, w) over its channels, for each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, cells: Tensor) -> Tensor:
        """The same shape."""
        last = cells.permute(0, 2, 3, 1)
        last = functional.layer_norm(last, last.shape[-1:], self.weight, self.bias, 1e-6)
        return last.permute(0, 3, 1, 2)


def neck(encoder_width: int, width: int) -> nn.Sequential:
    """From the encoder's channels to those of the M-Former: (b, e, h, w) -> (b, c, h, w)."""
    return nn.Sequential(
        nn.Conv2d(encoder_width, width, 1, bias=False),
        ChannelNorm(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        ChannelNorm(width),
    )


def finer(width: int, between: int) -> nn.Sequential:
    """Four times as fine: (b, c, h, w) -> (b, c, 4 h, 4 w)."""
    return nn.Sequential(
        nn.ConvTranspose2d(width, between, 2, stride=2),
        ChannelNorm(between),
        nn.GELU(),
        nn.ConvTranspose2d(between, width, 2, stride=2),
    )


class SelfAttention(nn.Module):
    """Of tokens to each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS)
        self.norm = nn.LayerNorm(width)

    def after(self, tokens: Tensor) -> Tensor:
        """Normalised after it; no positions."""
        return self.norm(tokens + self._attend(tokens, tokens))

    def before(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Normalised before it; positions are added to queries and keys."""
        normal = self.norm(tokens)
        return tokens + self._attend(normal + positions, normal)

    def _attend(self, place: Tensor, content: Tensor) -> Tensor:
        return self.self_attn(place, place, content, need_weights=False)[0]


class CrossAttention(nn.Module):
    """Of tokens to others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS)
        self.norm = nn.LayerNorm(width)

    def after(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Normalised after it; no positions."""
        attended = self.multihead_attn(tokens, memory, memory, need_weights=False)[0]
        return self.norm(tokens + attended)

    def before(
        self, tokens: Tensor, positions: Tensor, keys: Tensor, values: Tensor, blocked: Tensor
    ) -> Tensor:
        """Normalised before it.

        Args:
            tokens: (n, c).
            positions: (n, c), added to the queries.
            keys: (m, c), with their positions.
            values: (m, c).
            blocked: (n, m) bool, True where a token must not look.
        """
        attended = self.multihead_attn(
            self.norm(tokens) + positions, keys, values, need_weights=False, attn_mask=blocked
        )[0]
        return tokens + attended


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def after(self, tokens: Tensor) -> Tensor:
        """Normalised after it."""
        return self.norm(tokens + self._through(tokens))

    def before(self, tokens: Tensor) -> Tensor:
        """Normalised before it."""
        return tokens + self._through(self.norm(tokens))

    def _through(self, tokens: Tensor) -> Tensor:
        return self.linear2(functional.relu(self.linear1(tokens)))


class FusionLayer(nn.Module):
    """One set of tokens looks at itself, then at another set ("in-context interaction").

    In two parts, because the first, which is expensive for the tokens of an image, does not depend
    on what it is fused with.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.transformer_self_attention_layer = SelfAttention(width)
        self.transformer_cross_attention_layer = CrossAttention(width)
        self.transformer_ffn_layer = FeedForward(width, hidden)

    def alone(self, tokens: Tensor) -> Tensor:
        """What the tokens make of themselves."""
        return self.transformer_self_attention_layer.after(tokens)

    def forward(self, alone: Tensor, memory: Tensor) -> Tensor:
        """What they make of others: (n, c) from `alone` and (m, c) -> (n, c)."""
        seen = self.transformer_cross_attention_layer.after(alone, memory)
        return self.transformer_ffn_layer.after(seen)


class DecoderLayer(nn.Module):
    """Tokens of objects look at each other and at the image; tokens of classes at the former."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.transformer_self_attention_layer = SelfAttention(width)
        self.transformer_cross_attention_layer = CrossAttention(width)
        self.transformer_ffn_layer1 = FeedForward(width, hidden)
        self.transformer_ffn_layer2 = FeedForward(width, hidden)

    def forward(
        self, tokens: Tensor, positions: Tensor, keys: Tensor, values: Tensor, blocked: Tensor
    ) -> Tensor:
        """One round.

        Args:
            tokens: (n + k, c): of n objects, then of k classes.
            positions: (n + k, c).
            keys: (m, c) of the image, with positions.
            values: (m, c).
            blocked: (n, m) bool: where an object must not look.
        """
        objects = len(blocked)
        tokens = self.transformer_self_attention_layer.before(tokens, positions)
        seen = self.transformer_cross_attention_layer.before(
            tokens[:objects], positions[:objects], keys, values, blocked
        )
        return torch.cat(
            [
                self.transformer_ffn_layer1.before(seen),
                self.transformer_ffn_layer2.before(tokens[objects:]),
            ]
        )


class Perceptron(nn.Module):
    """Three linear layers of one width with ReLU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, c) -> (n, c)."""
        for layer in self.layers[:-1]:
            tokens = functional.relu(layer(tokens))
        return self.layers[-1](tokens)
