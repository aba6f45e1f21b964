"""DINOv3 features: Siméoni et al., "DINOv3" (2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from transformers import DINOv3ViTModel

from ipseg.features.vit import VitExtractor


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
