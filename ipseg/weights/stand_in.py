"""A small network with the interface of BiRefNet, whose own code is on the hub alone.

`ipseg weights tiny` writes this file, with random weights, in place of the published code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel


class BiRefNetConfig(PreTrainedConfig):  # type: ignore[misc]  # made at run time
    """No hyperparameters."""

    model_type = "birefnet"


class BiRefNet(PreTrainedModel):  # type: ignore[misc]
    """An image (B, 3, h, w) to a list of maps (B, 1, h, w), the last one the finest."""

    config_class = BiRefNetConfig

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__(config)
        # Like the published code it reads numbers from tensors while it is built.
        widths = [int(width.item()) for width in torch.linspace(8, 16, 2)]
        self.coarse = nn.Conv2d(3, widths[0], 16, stride=16)
        self.fine = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Logits at the size of the image, coarse and fine."""
        coarse = functional.gelu(self.coarse(pixels))
        fine = functional.gelu(self.fine(coarse))
        levels = zip(self.heads, (coarse, fine), strict=True)
        maps = [head(level) for head, level in levels]
        size = pixels.shape[2:]
        return [functional.interpolate(each * 4, size, mode="bilinear") for each in maps]
