"""The network of CounTR: a ViT whose tokens attend to those of a few exemplars.

Source: CounTR (Liu et al., BMVC 2022) and the released checkpoint `FSC147.pth`; the names of
modules are those of its tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 16  # pixels
CROP = 64  # pixels along an exemplar's crop
SCALE = 60  # the density is so many times the number of objects
_HEAD, _DECODER_HEAD = 64, 32  # channels of a head
_EPS = 1e-6
_GROUPS = 8


@dataclass(frozen=True)
class Architecture:
    """The sizes in which networks of this form can differ.

    Attributes:
        grid: patches along the square.
        width: of the encoder; a multiple of 64.
        depth: its blocks.
        decoder_width: a multiple of 32.
        decoder_depth: its blocks.
        crop_widths: channels of the exemplar encoder's first three convolutions.
        head_width: channels of the head; a multiple of 8.
    """

    grid: int = 24
    width: int = 768
    depth: int = 12
    decoder_width: int = 512
    decoder_depth: int = 2
    crop_widths: tuple[int, int, int] = (64, 128, 256)
    head_width: int = 256

    @property
    def side(self) -> int:
        """Pixels along the square."""
        return self.grid * PATCH

    @staticmethod
    def of(state: Mapping[str, Tensor]) -> Architecture:
        """Read off a state dict.

        Raises:
            KeyError: it is of another network.
        """

        def count(prefix: str) -> int:
            return len({k[len(prefix) :].split(".")[0] for k in state if k.startswith(prefix)})

        _, patches, width = state["pos_embed"].shape
        first, second, third = (len(state[f"decoder_proj{n}.0.bias"]) for n in (1, 2, 3))
        return Architecture(
            grid=round(patches**0.5),
            width=width,
            depth=count("blocks."),
            decoder_width=state["decoder_pos_embed"].shape[2],
            decoder_depth=count("decoder_blocks."),
            crop_widths=(first, second, third),
            head_width=len(state["decode_head0.0.bias"]),
        )


def sine_table(width: int, grid: int) -> Tensor:
    """The fixed positions of a grid x grid square: (grid^2, width) float32.

    The first half of the channels is from the column, the second from the row; each half has the
    sines of all frequencies, then the cosines.
    """
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    half = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = half.repeat(grid, 1), half.repeat_interleave(grid, dim=0)
    return torch.cat([columns, rows], dim=1).float()


def _attend(q: Tensor, k: Tensor, v: Tensor, width: int) -> Tensor:
    """(n, t, c), (n, s, c), (n, s, c) -> (n, t, c), in heads of so many channels."""

    def heads(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], -1, width).transpose(1, 2)

    found = functional.scaled_dot_product_attention(heads(q), heads(k), heads(v))
    return found.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Each token looks at all others."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, c) -> (n, t, c)."""
        q, k, v = self.qkv(x).chunk(3, dim=2)
        return self.proj(_attend(q, k, v, self.head))


class CrossAttention(nn.Module):
    """Each token looks at those of the exemplars."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.wq = nn.Linear(width, width)
        self.wk = nn.Linear(width, width)
        self.wv = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, exemplars: Tensor) -> Tensor:
        """(n, t, c) and (n, e, c) -> (n, t, c)."""
        return self.proj(_attend(self.wq(x), self.wk(exemplars), self.wv(exemplars), self.head))


class Perceptron(nn.Module):
    """Two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """One block of the encoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPS)
        self.attn = SelfAttention(width, _HEAD)
        self.norm2 = nn.LayerNorm(width, _EPS)
        self.mlp = Perceptron(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, c) -> (n, t, c)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """One block of the decoder; tokens of exemplars are not normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm0 = nn.LayerNorm(width, _EPS)
        self.selfattn = SelfAttention(width, _DECODER_HEAD)
        self.norm1 = nn.LayerNorm(width, _EPS)
        self.attn = CrossAttention(width, _DECODER_HEAD)
        self.norm2 = nn.LayerNorm(width, _EPS)
        self.mlp = Perceptron(width)

    def forward(self, x: Tensor, exemplars: Tensor) -> Tensor:
        """(n, t, c) and (n, e, c) -> (n, t, c)."""
        x = x + self.selfattn(self.norm0(x))
        x = x + self.attn(self.norm1(x), exemplars)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Patches to tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, s, s) -> (n, t, c)."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


def _crop_stage(channels_in: int, channels: int, pool: nn.Module) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels, 3, padding=1)
    return nn.Sequential(conv, nn.InstanceNorm2d(channels), nn.ReLU(), pool)


def _head_stage(channels_in: int, channels: int, *more: nn.Module) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels, 3, padding=1)
    return nn.Sequential(conv, nn.GroupNorm(_GROUPS, channels), nn.ReLU(), *more)


class CounTRNetwork(nn.Module):
    """225 tensors, 99.7 million parameters as released."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        sizes = architecture or Architecture()
        width, inner, head = sizes.width, sizes.decoder_width, sizes.head_width
        self.grid = sizes.grid
        self.pos_embed = nn.Parameter(sine_table(width, sizes.grid)[None])
        self.decoder_pos_embed = nn.Parameter(sine_table(inner, sizes.grid)[None])
        self.shot_token = nn.Parameter(torch.zeros(inner))
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(width, _EPS)
        self.decoder_embed = nn.Linear(width, inner)
        channels = (3, *sizes.crop_widths, inner)
        for number in (1, 2, 3, 4):
            pool = nn.AdaptiveAvgPool2d(1) if number == 4 else nn.MaxPool2d(2)
            stage = _crop_stage(channels[number - 1], channels[number], pool)
            self.add_module(f"decoder_proj{number}", stage)
        self.decoder_blocks = nn.ModuleList(DecoderBlock(inner) for _ in range(sizes.decoder_depth))
        self.decoder_norm = nn.LayerNorm(inner, _EPS)
        self.decode_head0 = _head_stage(inner, head)
        self.decode_head1 = _head_stage(head, head)
        self.decode_head2 = _head_stage(head, head)
        self.decode_head3 = _head_stage(head, head, nn.Conv2d(head, 1, 1))

    def encode(self, pixels: Tensor) -> Tensor:
        """(n, 3, s, s) RGB in [0, 1] -> (n, t, c) tokens for the decoder."""
        x = self.patch_embed(pixels) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.decoder_embed(self.norm(x))

    def exemplar(self, crops: Tensor) -> Tensor:
        """(e, 3, 64, 64) RGB in [0, 1] -> (e, c) tokens."""
        x = crops
        for number in (1, 2, 3, 4):
            x = self.get_submodule(f"decoder_proj{number}")(x)
        return x.flatten(1)

    def forward(self, tokens: Tensor, exemplars: Tensor | None) -> Tensor:
        """The density, times `SCALE`; it can be negative.

        Args:
            tokens: (n, t, c) from `encode`.
            exemplars: (e, c) from `exemplar`; None counts whatever repeats.

        Returns:
            (n, s, s).
        """
        shown = self.shot_token[None] if exemplars is None else exemplars
        shown = shown[None].expand(len(tokens), -1, -1)
        x = tokens + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x, shown)
        x = self.decoder_norm(x).transpose(1, 2).reshape(len(x), -1, self.grid, self.grid)
        for number in range(4):
            x = self.get_submodule(f"decode_head{number}")(x)
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return x[:, 0]
