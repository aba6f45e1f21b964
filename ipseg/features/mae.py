"""MAE features (paper, table 7): He et al., "Masked Autoencoders Are Scalable Vision Learners"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from transformers import ViTMAEModel

from ipseg.features.vit import VitExtractor
from ipseg.networks.pretrained import Network


@dataclass(kw_only=True)
class Mae(VitExtractor):
    """Patch tokens of MAE's encoder after the final norm, without masking and CLS.

    The paper states neither model nor size; the default grid is that of DINOv2, 60 x 60.
    """

    weights: str = "facebook/vit-mae-base"
    size: Annotated[int, Field(gt=0)] = 960
    # As DINOv2: 86 M parameters x 4 bytes = 0.34 GB, and a dozen tensors of 44 MB.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.2

    classes: ClassVar = {"vit_mae": ViTMAEModel}
    ignored: ClassVar = ("decoder.",)

    def adapt(self, network: Network, cells: int) -> None:
        """Turns masking off."""
        del cells
        network.config.mask_ratio = 0.0

    def tokens(self, network: Network, pixels: Tensor) -> Tensor:
        """(b, 1 + n * n, c)."""
        patch = network.config.patch_size
        patches = pixels.shape[-2] * pixels.shape[-1] // patch**2
        # The network shuffles its patches by sorting noise; ascending noise keeps the order.
        in_order = torch.arange(patches, device=pixels.device).expand(len(pixels), -1)
        return network(pixels, noise=in_order, interpolate_pos_encoding=True).last_hidden_state
