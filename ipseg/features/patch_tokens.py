"""Patch tokens of DINOv2 over a whole image that is squashed to a square.

Sources: Matcher (Liu et al., ICLR 2024) and GF-SAM (Zhang et al., NeurIPS 2024), released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import Dinov2Model, Dinov2WithRegistersModel

from ipseg.errors import ConfigError
from ipseg.features.dinov2 import Dinov2, use_reference_positions
from ipseg.networks.batching import in_micro_batches
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image, Mask
from ipseg.vision.geometry import resize_map


@dataclass(frozen=True)
class Square:
    """How an image lies in the squares of both networks: all of it, without its aspect ratio.

    Attributes:
        side: of the square that DINOv2 gets, pixels; a multiple of its patch.
        frame: of the square that the segmenter gets, and of the masks that come out of it. The
            image is resized to it (Pillow, bilinear, with antialiasing), and from it to `side`.
        antialias: in the second resize, where the sides differ. The released code of GF-SAM has
            none with the torchvision of its time, but has with today's.
        keep_small: an object that the nearest pixels miss keeps those that it touches. False: it
            is lost, as released, and the cell in the middle of the image stands in for it.
    """

    side: Annotated[int, Field(gt=0)] = 518
    frame: Annotated[int, Field(gt=0)] = 518
    antialias: bool = False
    keep_small: bool = True

    def place(self, image: Image) -> Image:
        """(H, W, 3) uint8 -> (frame, frame, 3) uint8."""
        size = (self.frame, self.frame)
        resized = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
        return np.array(resized)

    def place_mask(self, mask: Mask) -> Mask:
        """(H, W) bool -> (frame, frame) bool: the nearest pixels, as torch takes them."""
        shape = (self.frame, self.frame)
        full = torch.from_numpy(mask)[None, None].float()
        placed = functional.interpolate(full, shape, mode="nearest")[0, 0].numpy() > 0
        if self.keep_small and not placed.any():
            placed = resize_map(mask.astype(np.float32), shape, "area") > 0
        return np.asarray(placed)

    def pixels(self, squares: Sequence[Image], device: torch.device) -> Tensor:
        """n of (frame, frame, 3) uint8 -> (n, 3, side, side) float32 in [0, 1]."""
        pixels = to_pixels(squares, device)
        if self.frame == self.side:
            return pixels
        return functional.interpolate(
            pixels,
            (self.side, self.side),
            mode="bilinear",
            align_corners=False,
            antialias=self.antialias,
        )


@dataclass(frozen=True)
class Patches:
    """An encoded image.

    Attributes:
        tokens: (n * n, c) float32 in reading order, raw, on the device.
        square: (frame, frame, 3) uint8, the image as the segmenter gets it.
    """

    tokens: Tensor
    square: Image

    @property
    def cells(self) -> int:
        """Rows and columns of the grid of tokens."""
        return round(len(self.tokens) ** 0.5)


@dataclass
class PatchTokens:
    """DINOv2's tokens after the last block, before the final norm, without CLS and registers.

    Attributes:
        weights: hub id, folder, or .safetensors file next to its config.json.
        batch: squares that go through the network at a time; halved when GPU memory runs out.
        gpu_memory_gb: GPU memory in GB; for ViT-L: weights 1.2 (304 million float32), a dozen
            tensors of 1370 x 4096 float32 0.3, CUDA and its libraries 0.7.
    """

    weights: str = "facebook/dinov2-large"
    batch: Annotated[int, Field(ge=1)] = 1
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 2.2

    models: Models = field(init=False, repr=False, compare=False)
    _network: Network = field(init=False, repr=False, compare=False, default=None)
    _last: dict[Square, LastBatch] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    classes: ClassVar = {
        "dinov2": Dinov2Model,
        "dinov2_with_registers": Dinov2WithRegistersModel,
    }

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the weights are missing, damaged, or not of a DINOv2.
        """
        self.models = models
        network = load_network(models.locate(self.weights), self.classes, Dinov2.ignored)
        network.layernorm = nn.Identity()
        if isinstance(network, Dinov2Model):
            use_reference_positions(network)
        self._network = network.to(models.torch_device())

    def encode(self, images: Sequence[Image], square: Square) -> list[Patches]:
        """Encodes images; those of the last call with an equal `square` are remembered.

        Args:
            images: (H, W, 3) uint8 RGB of any size.
            square: how they lie in the network.

        Raises:
            ConfigError: `square.side` is no multiple of the patch.
        """
        patch = int(self._network.config.patch_size)
        if square.side % patch:
            near = max(1, round(square.side / patch)) * patch
            raise ConfigError(
                f"square.side is {square.side}, not a multiple of the patch of {patch} pixels: "
                f"set square.side={near}"
            )
        last = self._last.setdefault(square, LastBatch())
        return last.get(images, lambda: self._encode([square.place(i) for i in images], square))

    def _encode(self, squares: Sequence[Image], square: Square) -> list[Patches]:
        found = in_micro_batches(lambda part: self._tokens(part, square), squares, self.batch)
        return [Patches(tokens, each) for tokens, each in zip(found, squares, strict=True)]

    @torch.inference_mode()
    def _tokens(self, squares: Sequence[Image], square: Square) -> list[Tensor]:
        pixels = square.pixels(squares, self.models.torch_device())
        with self.models.autocast():
            tokens = self._network(normalised(pixels, IMAGENET_MEAN, IMAGENET_STD))
        count = (square.side // int(self._network.config.patch_size)) ** 2
        return list(tokens.last_hidden_state[:, -count:].float())
