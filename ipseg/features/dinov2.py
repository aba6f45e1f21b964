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
        del cells
        network.layernorm = nn.Identity()
        # Networks with registers were released with the interpolation of transformers.
        if self.interpolation == "reference" and isinstance(network, Dinov2Model):
            use_reference_positions(network)


def use_reference_positions(network: Network) -> None:
    """Has a Dinov2Model interpolate its position embeddings as in the released DINOv2.

    For canvases of any shape; the table of each shape is made once.

    Args:
        network: of the transformers library; its weights stay as they are.
    """
    embeddings = network.embeddings
    patch = int(network.config.patch_size)
    tables: dict[tuple[int, int, torch.device], Tensor] = {}

    def interpolated(tokens: Tensor, height: int, width: int) -> Tensor:
        shape = (height // patch, width // patch, tokens.device)
        if shape not in tables:
            tables[shape] = reference_positions(embeddings.position_embeddings, shape[:2])
        return tables[shape]

    embeddings.interpolate_pos_encoding = interpolated


def reference_positions(table: Tensor, cells: tuple[int, int]) -> Tensor:
    """Position embeddings interpolated to another grid as in the released DINOv2.

    Bicubic without antialiasing, with a scale factor of (cells + 0.1) / grid for each axis instead
    of a size, so that samples are slightly off the centres of cells.

    Args:
        table: (1, 1 + grid * grid, c): CLS, then the square grid in reading order.
        cells: rows and columns of the new grid.

    Returns:
        (1, 1 + rows * columns, c); the table itself if the grid already has that shape.
    """
    positions = table.detach()
    grid = round((positions.shape[1] - 1) ** 0.5)
    if cells == (grid, grid):
        return positions
    plane = positions[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2).float()
    scale = tuple((count + _INTERPOLATION_OFFSET) / grid for count in cells)
    plane = functional.interpolate(
        plane, scale_factor=scale, mode="bicubic", align_corners=False, antialias=False
    )
    return torch.cat([positions[:, :1], plane.flatten(2).transpose(1, 2)], dim=1)
