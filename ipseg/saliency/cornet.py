"""Saliency as published: the network `cornet` with its 320 x 320 input and 8-bit output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor

from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.rows import Image, Map
from ipseg.saliency.cornet_network import INPUT_SIDE, CorNet
from ipseg.saliency.weak import never_empty


@dataclass
class CorNetSaliency:
    """TSDN (Zhou et al., CVPR 2023), stage 2, as the released IPSeg uses it.

    Attributes:
        weights: the released checkpoint: 368 tensors, saved by `torch.save(state_dict)`.
        gpu_memory_gb: GPU memory in GB: weights (0.11), activations of one image, CUDA itself.
    """

    weights: str = "cornet_rgb_duts_tr.pth"
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.0

    def __post_init__(self) -> None:
        self._network: CorNet | None = None
        self._models = Models()

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the file is missing, damaged, or of another network.
        """
        path = models.locate(self.weights)
        with torch.device("meta"):  # skips the initialisation
            network = CorNet()
        load_strict(network, read_state_dict(path), path)
        self._network = network.float().eval().to(models.torch_device())
        self._models = models

    def predict(self, image: Image) -> Map:
        """Soft saliency of a (H, W, 3) uint8 image: (H, W) float32, one of k / 255."""
        levels = to_8bit(self.probability(image), image.shape[:2])
        return levels.astype(np.float32) / np.float32(255)

    def isolate(self, image: Image) -> Map:
        """The same map: (H, W) float32 in [0, 1]; never empty.

        If nothing is above 0.5, the part above half of the maximum is returned with the lowest
        valid level (`ipseg.saliency.weak`), so that the prompt gets a warning.
        """
        return never_empty(self.predict(image))

    def probability(self, image: Image) -> Map:
        """The output of the network before resizing and rounding: (320, 320) float32 in [0, 1]."""
        return np.asarray(torch.sigmoid(self.logit(image)), dtype=np.float32)

    @torch.inference_mode()
    def logit(self, image: Image) -> Tensor:
        """(320, 320) float32 on the CPU, positive on the object."""
        if self._network is None:
            raise RuntimeError("call CorNetSaliency.setup() first")
        pixels = to_input(image).to(self._models.torch_device())
        with self._models.autocast():
            return self._network(pixels)[0, 0].float().cpu()


def to_input(image: Image) -> Tensor:
    """(H, W, 3) uint8 RGB -> (1, 3, 320, 320) float32, resized by Pillow's bicubic, normalised."""
    small = PillowImage.fromarray(image).resize(
        (INPUT_SIDE, INPUT_SIDE), PillowImage.Resampling.BICUBIC
    )
    return normalised(to_pixels([np.array(small)]), IMAGENET_MEAN, IMAGENET_STD)


def to_8bit(probability: Map, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """(h, w) in [0, 1] -> (H, W) uint8 of that shape: OpenCV's linear resize, rounded."""
    full = cv2.resize(probability, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.rint(np.clip(full, 0, 1) * 255).astype(np.uint8)
