"""Patch tokens of DINOv2 over a whole image that is squashed to a square, or placed otherwise.

Sources: Matcher (Liu et al., ICLR 2024) and GF-SAM (Zhang et al., NeurIPS 2024), released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import Dinov2Model, DINOv3ViTModel

from ipseg.errors import ConfigError, WeightsError
from ipseg.features.dinov2 import use_reference_positions
from ipseg.networks.batching import in_micro_batches
from ipseg.networks.dino import load_dino
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.pretrained import Network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image, Mask
from ipseg.vision.geometry import resize_map


def nearest_mask(mask: Mask, shape: tuple[int, int]) -> Mask:
    """A (H, W) mask at another shape (rows, columns), by its nearest pixels as torch takes them."""
    full = torch.from_numpy(mask)[None, None].float()
    return np.asarray(functional.interpolate(full, shape, mode="nearest")[0, 0].numpy() > 0)


class Placement(Protocol):
    """How an image gets into both networks. Equal ones are equal as keys."""

    def place(self, image: Image) -> Image:
        """(H, W, 3) uint8 -> (h, w, 3) uint8: as the segmenter gets it, and its masks come out."""

    def place_mask(self, mask: Mask) -> Mask:
        """(H, W) bool -> (h, w) bool, as `place`."""

    def pixels(self, placed: Sequence[Image], device: torch.device) -> Tensor:
        """Images from `place`, of one size -> (n, 3, a, b) float32 in [0, 1], as DINOv2 gets it."""


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
        placed = nearest_mask(mask, shape)
        if self.keep_small and not placed.any():
            placed = np.asarray(resize_map(mask.astype(np.float32), shape, "area") > 0)
        return placed

    def pixels(self, placed: Sequence[Image], device: torch.device) -> Tensor:
        """(frame, frame, 3) uint8 each -> (n, 3, side, side) float32 in [0, 1]."""
        pixels = to_pixels(placed, device)
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
        tokens: (rows * columns, c) float32 in reading order, raw, on the device.
        grid: rows and columns.
        image: (h, w, 3) uint8, the image as the segmenter gets it.
    """

    tokens: Tensor
    grid: tuple[int, int]
    image: Image


@dataclass
class PatchTokens:
    """DINOv2's tokens after the last block, before the final norm, without CLS and registers.

    Attributes:
        weights: hub id, folder, .safetensors file next to its config.json, or a .pth file as
            released (without registers).
        batch: images that go through the network at a time; halved when GPU memory runs out.
        gpu_memory_gb: GPU memory in GB; for ViT-L: weights 1.2 (304 million float32), a dozen
            tensors of 1370 x 4096 float32 0.3, CUDA and its libraries 0.7.
    """

    weights: str = "facebook/dinov2-large"
    batch: Annotated[int, Field(ge=1)] = 1
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 2.2

    models: Models = field(init=False, repr=False, compare=False)
    _network: Network = field(init=False, repr=False, compare=False, default=None)
    _last: dict[Placement, LastBatch] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the weights are missing, damaged, or not of a DINOv2.
        """
        self.models = models
        location = models.locate(self.weights)
        network = load_dino(location)
        if isinstance(network, DINOv3ViTModel):
            raise WeightsError(f"{location} has a DINOv3, where a DINOv2 is needed")
        network.layernorm = nn.Identity()
        if isinstance(network, Dinov2Model):
            use_reference_positions(network)
        self._network = network.to(models.torch_device())

    def encode(self, images: Sequence[Image], placement: Placement) -> list[Patches]:
        """Encodes images; those of the last call with an equal placement are remembered.

        Args:
            images: (H, W, 3) uint8 RGB of any size.
            placement: how they get into the network.

        Raises:
            ConfigError: the network's input is not of whole patches.
        """
        last = self._last.setdefault(placement, LastBatch())
        return last.get(
            images, lambda: self._placed([placement.place(i) for i in images], placement)
        )

    def _placed(self, images: Sequence[Image], placement: Placement) -> list[Patches]:
        if len({image.shape for image in images}) > 1:
            return [each for image in images for each in self._placed([image], placement)]
        return in_micro_batches(lambda part: self._encode(part, placement), images, self.batch)

    @torch.inference_mode()
    def _encode(self, images: Sequence[Image], placement: Placement) -> list[Patches]:
        pixels = placement.pixels(images, self.models.torch_device())
        rows, columns = self._grid(*pixels.shape[2:])
        with self.models.autocast():
            found = self._network(normalised(pixels, IMAGENET_MEAN, IMAGENET_STD))
        tokens = found.last_hidden_state[:, -rows * columns :].float()
        pairs = zip(tokens, images, strict=True)
        return [Patches(each, (rows, columns), image) for each, image in pairs]

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        patch = int(self._network.config.patch_size)
        if height % patch or width % patch:
            near = max(1, round(width / patch)) * patch
            raise ConfigError(
                f"DINOv2's input is {width}x{height} pixels, not of whole patches of {patch}: take "
                f"multiples, such as {near} (square.side, or wide.short and wide.long)"
            )
        return height // patch, width // patch
