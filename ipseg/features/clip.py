"""CLIP features (paper, table 7): Radford et al. (2021), arXiv 2103.00020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from transformers import CLIPVisionModel

from ipseg.features.vit import VitExtractor
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
