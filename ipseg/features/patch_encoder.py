"""Patch tokens of DINOv3 or DINOv2 over images that are stretched to a square."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor
from transformers import Dinov2Model

from ipseg.errors import ConfigError
from ipseg.features.dinov2 import use_reference_positions
from ipseg.networks.batching import in_micro_batches
from ipseg.networks.dino import load_dino
from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import Network, normalisation
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

Prepare = Callable[[Image, int], Tensor]

_log = logging.getLogger(__name__)


def squashed(image: Image, side: int) -> Image:
    """(side, side, 3) uint8: the image without its aspect ratio, by Pillow's bilinear filter."""
    square = PillowImage.fromarray(image).resize((side, side), PillowImage.Resampling.BILINEAR)
    return np.asarray(square)


def stretched(image: Image, side: int) -> Tensor:
    """(3, side, side) float32 in [0, 1]: `squashed` as input of a network."""
    return to_pixels([squashed(image, side)])[0]


@dataclass
class PatchEncoder:
    """The tokens of a vision transformer after its final norm, without CLS and registers.

    Attributes:
        weights: hub id, folder, or .safetensors file next to its config.json; also a .pth file as
            released by DINOv2 (without registers) or DINOv3 (ViT-S, B and L).
        size: side of the square in pixels; rounded down to a multiple of the patch.
        batch: images in one pass; halved automatically when GPU memory runs out.
        gpu_memory_gb: GPU memory in GB; ViT-L: weights 1.2, a dozen tensors of a block at 4,101
            tokens x 4,096 x 4 bytes 0.8, similarities of 4,096 x 4,096 cells 0.3, the libraries.
    """

    weights: str = "facebook/dinov3-vitl16-pretrain-lvd1689m"
    size: Annotated[int, Field(gt=0)] = 1024
    batch: Annotated[int, Field(ge=1)] = 1
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 4.0

    models: Models = field(init=False, repr=False, compare=False)
    _network: Network = field(init=False, repr=False, compare=False, default=None)
    _normalisation: Any = field(init=False, repr=False, compare=False, default=None)
    _last: LastBatch = field(init=False, repr=False, compare=False, default_factory=LastBatch)
    _kept: dict[object, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def cells(self) -> int:
        """Along each side of the grid of tokens."""
        return self.size // int(self._network.config.patch_size)

    @property
    def side(self) -> int:
        """Of the square, pixels: `size`, or the next multiple of the patch below it."""
        return self.cells * int(self._network.config.patch_size)

    @property
    def channels(self) -> int:
        """Of a token."""
        return int(self._network.config.hidden_size)

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the weights are missing, damaged or of another network.
            ConfigError: the square is smaller than one patch.
        """
        self.models = models
        location = models.locate(self.weights)
        network = load_dino(location)
        if isinstance(network, Dinov2Model):
            use_reference_positions(network)
        self._network = network.to(models.torch_device())
        self._normalisation = normalisation(location)
        if self.cells == 0:
            patch = network.config.patch_size
            raise ConfigError(f"size is {self.size} pixels, less than one patch of {patch}")
        if self.side != self.size:
            _log.warning("size %d is not whole patches; using %d", self.size, self.side)

    def encode(self, images: Sequence[Image], prepare: Prepare = stretched) -> list[Tensor]:
        """The tokens of each image; those of the last call are remembered.

        Args:
            images: (H, W, 3) uint8 RGB each, of any sizes.
            prepare: image and side of the square -> (3, side, side) float32 in [0, 1].

        Returns:
            (c, n, n) float32 each, on the device; not to be edited.
        """

        def encoded(part: Sequence[Image]) -> list[Tensor]:
            return list(self._tokens(torch.stack([prepare(image, self.side) for image in part])))

        return self._last.get(
            images, lambda: in_micro_batches(encoded, images, self.batch), prepare
        )

    @torch.inference_mode()
    def _tokens(self, pixels: Tensor) -> Tensor:
        pixels = normalised(pixels.to(self.models.torch_device()), *self._normalisation)
        with self.models.autocast():
            tokens = self._network(pixels).last_hidden_state
        grid = tokens[:, -(self.cells**2) :].float().transpose(1, 2)
        return grid.reshape(len(grid), -1, self.cells, self.cells)

    def of_black(self) -> Tensor:
        """(c, n, n) tokens of an image without content: what positions alone give."""
        return self._tokens(torch.zeros(1, 3, self.side, self.side))[0]

    def kept(self, key: object, compute: Callable[[], Any]) -> Any:  # noqa: ANN401
        """`compute()`, done once for a key as long as the network is loaded."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]
