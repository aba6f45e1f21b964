"""CLIP, DINOv3 and MAE features: patch tokens of their image encoders.

Sources: Radford et al. (2021), arXiv 2103.00020; Siméoni et al., "DINOv3" (2025); He et al.,
"Masked Autoencoders Are Scalable Vision Learners" (2021). CLIP and MAE are in table 7 of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from transformers import CLIPVisionModel, DINOv3ViTModel, ViTMAEModel

from ipseg.features.vit import VitExtractor
from ipseg.networks.checkpoint import read_state_dict
from ipseg.networks.dino import RELEASED, dinov3_of
from ipseg.networks.pretrained import Network


@dataclass(kw_only=True)
class Clip(VitExtractor):
    """Patch tokens of CLIP's image encoder: output of the last block, without CLS.

    The paper states neither model nor size; the default grid is that of DINOv2, 60 x 60.
    """

    weights: str = "openai/clip-vit-base-patch16"
    size: Annotated[int, Field(gt=0)] = 960
    # As DINOv2: 86 M parameters x 4 bytes = 0.34 GB, and a dozen tensors of 44 MB.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.2

    classes: ClassVar = {"clip": CLIPVisionModel, "clip_vision_model": CLIPVisionModel}
    # Hub folders contain both towers, and older files a list of positions.
    ignored: ClassVar = (
        "text_model.",
        "text_projection",
        "visual_projection",
        "logit_scale",
        "embeddings.position_ids",
        "vision_model.embeddings.position_ids",
    )

    def tokens(self, network: Network, pixels: Tensor) -> Tensor:
        """(b, 1 + n * n, c)."""
        return network(pixels, interpolate_pos_encoding=True).last_hidden_state


@dataclass(kw_only=True)
class Dinov3(VitExtractor):
    """Patch tokens of DINOv3 after the final norm, without CLS and registers.

    Unlike DINOv2, the norm is kept: a few channels of the raw tokens are much larger than the
    others and would dominate every cosine. Positions are rotations, so any size is native.
    """

    weights: str = "facebook/dinov3-vits16-pretrain-lvd1689m"
    size: Annotated[int, Field(gt=0)] = 960
    # ViT-S: 22 M parameters x 4 bytes = 0.09 GB; at 3605 tokens the widest tensor of a block is
    # 22 MB, a dozen of them 0.3 GB. ViT-B needs about 1.2.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 0.8

    classes: ClassVar = {"dinov3_vit": DINOv3ViTModel}

    def load(self, location: str) -> Network:
        """From a folder as on the hub, or from a released file."""
        if location.endswith(RELEASED):
            return dinov3_of(read_state_dict(location), location)
        return super().load(location)


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
