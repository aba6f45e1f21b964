"""DINOv2 features, with or without registers.

Source: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023), as
used by the released IPSeg code: output of the last block before the final norm, without CLS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import Dinov2Model, Dinov2WithRegistersModel

from ipseg.features.vit import VitExtractor
from ipseg.networks.pretrained import Network

# The released networks add this to the number of cells, so that rounding never gives one less.
_INTERPOLATION_OFFSET = 0.1


@dataclass(kw_only=True)
class Dinov2(VitExtractor):
    """Patch tokens of DINOv2.

    Attributes:
        interpolation: how position embeddings are interpolated to the canvas. `reference` as in the
            released networks; `transformers` as in that library, which differs slightly. The two
            are equal with registers, and if no interpolation is needed.
    """

    weights: str = "facebook/dinov2-base"
    size: Annotated[int, Field(gt=0)] = 840
    interpolation: Literal["reference", "transformers"] = "reference"
    # ViT-B: 87 M parameters x 4 bytes = 0.35 GB; the widest block at 3601 tokens x 3072 x 4 bytes
    # is 44 MB, a dozen such tensors 0.5 GB; the rest is work space of the libraries.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.2

    classes: ClassVar = {
        "dinov2": Dinov2Model,
        "dinov2_with_registers": Dinov2WithRegistersModel,
    }
    ignored: ClassVar = ("classifier.",)

    def adapt(self, network: Network, cells: int) -> None:
        """Removes the final norm and interpolates the position embeddings once."""
        network.layernorm = nn.Identity()
        embeddings = network.embeddings
        # Networks with registers were released with the interpolation of transformers.
        if self.interpolation == "reference" and isinstance(network, Dinov2Model):
            interpolated = reference_positions(embeddings.position_embeddings, cells)
            # A table of the requested size is used as it is.
            embeddings.position_embeddings = nn.Parameter(interpolated, requires_grad=False)


def reference_positions(table: Tensor, cells: int) -> Tensor:
    """Position embeddings interpolated to another grid as in the released DINOv2.

    Bicubic without antialiasing, with a scale factor of (cells + 0.1) / grid instead of a size, so
    that samples are slightly off the centres of cells.

    Args:
        table: (1, 1 + grid * grid, c): CLS, then the grid in reading order.
        cells: side of the new grid.

    Returns:
        (1, 1 + cells * cells, c); the table itself if the grid already has that size.
    """
    positions = table.detach()
    grid = round((positions.shape[1] - 1) ** 0.5)
    if grid == cells:
        return positions
    plane = positions[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2).float()
    scale = (cells + _INTERPOLATION_OFFSET) / grid
    plane = functional.interpolate(
        plane, scale_factor=(scale, scale), mode="bicubic", align_corners=False, antialias=False
    )
    return torch.cat([positions[:, :1], plane.flatten(2).transpose(1, 2)], dim=1)
