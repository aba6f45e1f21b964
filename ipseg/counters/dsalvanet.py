"""DSALVANet as a counter: input, exemplars, density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ipseg.counters import Boxes, Density
from ipseg.counters.dsalvanet_network import SHOTS, STRIDE, Architecture, Cells, DSALVANetwork
from ipseg.counters.loading import load_counter
from ipseg.networks.batching import in_micro_batches
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

_CHECKPOINT_KEY = "state_dict"


@dataclass(frozen=True)
class Encoded:
    """One image.

    Attributes:
        features: (1, c, h, w) float32 on the device.
        shape: height, width of the image.
    """

    features: Tensor
    shape: tuple[int, int]


@dataclass
class DSALVANet:
    """Counts by three exemplars; fewer are repeated.

    Attributes:
        weights: the released checkpoint: 768 tensors under `state_dict`. No licence comes with it.
        lvam: `mean` takes the mean of the latent features. `sample` adds noise, as in training: the
            released code does, because only its backbone is in evaluation mode.
        seed: of that noise, the same for each count.
        side: of the square that images are resized to, pixels; a multiple of 16. 512 in training.
        gpu_memory_gb: GPU memory in GB: weights 0.1, activations of one image at 512, CUDA itself.
    """

    weights: str = "checkpoint_200.pth"
    lvam: Literal["mean", "sample"] = "mean"
    seed: int = 0
    side: Annotated[int, Field(ge=64, multiple_of=16)] = 512
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 2.0

    level: ClassVar[int] = 30
    exemplars: ClassVar[int] = SHOTS

    def __post_init__(self) -> None:
        self._network: DSALVANetwork | None = None
        self._models = Models()
        self._at_once: int | None = None
        self._last = LastBatch()

    def setup(self, models: Models) -> None:
        """Loads the network; the ResNet, which the file has twice, once.

        Raises:
            WeightsError: the file is missing, damaged, or of another network.
        """
        network = load_counter(
            models, self.weights, _CHECKPOINT_KEY, Architecture.of, DSALVANetwork, "DSALVANet"
        )
        network.backbone.keep_what_is_used()
        device = models.torch_device()
        self._at_once = 1 if device.type == "cpu" else None
        self._network = network.float().eval().to(device)
        self._models = models

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Features of each (H, W, 3) uint8 image; the last batch is cached."""
        return self._last.get(images, lambda: in_micro_batches(self._encode, images, self._at_once))

    def _encode(self, images: Sequence[Image]) -> list[Encoded]:
        network = self._loaded()
        pixels = torch.cat([to_input(image, self.side) for image in images])
        with self._models.autocast():
            features = network.encode(pixels.to(self._models.torch_device()))
        return [
            Encoded(one[None].float(), (image.shape[0], image.shape[1]))
            for one, image in zip(features, images, strict=True)
        ]

    @torch.inference_mode()
    def count(self, encoded: Encoded, boxes: Boxes) -> Density:
        """See `Counter.count`; the count is the sum of the density, rounded up."""
        noise = None
        if self.lvam == "sample":
            drawn = torch.randn(
                encoded.features.shape, generator=torch.Generator().manual_seed(self.seed)
            )
            noise = drawn.to(encoded.features.device)
        density = self._loaded()(encoded.features, self.cells(encoded.shape, boxes), noise)
        found = density.cpu().numpy()
        total = float(found.sum(dtype=np.float64))
        return Density(found, math.ceil(total), total)

    def cells(self, shape: tuple[int, int], boxes: Boxes) -> Cells:
        """Rows and columns that the first three boxes of an image (H, W) cover."""
        return [_cells(each, self.side) for each in scaled(boxes, shape, self.side)]

    def _loaded(self) -> DSALVANetwork:
        if self._network is None:
            raise RuntimeError("call DSALVANet.setup() first")
        return self._network


def to_input(image: Image, side: int) -> Tensor:
    """(H, W, 3) uint8 RGB -> (1, 3, side, side) float32, resized without its aspect, normalised."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    return normalised(to_pixels([np.asarray(small, np.uint8)]), IMAGENET_MEAN, IMAGENET_STD)


def scaled(boxes: Boxes, shape: tuple[int, int], side: int) -> list[list[int]]:
    """The three boxes of the network, x, y, x, y in whole pixels of its square.

    One box counts three times; of two the first one counts twice.
    """
    width_share, height_share = side / shape[1], side / shape[0]
    factors = np.array([width_share, height_share] * 2)
    whole = (np.asarray(boxes, np.float64)[:SHOTS] * factors).astype(np.int64).tolist()
    return [whole[index % len(whole)] for index in range(SHOTS)]


def _cells(box: Sequence[int], side: int) -> tuple[int, int, int, int]:
    grid = side // STRIDE
    x0, y0 = (min(each // STRIDE, grid - 1) for each in box[:2])
    # The cell after the last one is taken in, too.
    x1, y1 = (min(-(-each // STRIDE) + 1, grid) for each in box[2:])
    return y0, x0, y1, x1
