"""What is in a box, as features of a ResNet-50: for the selection of PerSense++.

Source: PerSense++ (arXiv 2508.14660), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor
from torchvision.models.resnet import Bottleneck, ResNet  # type: ignore[import-untyped]
from torchvision.ops import roi_align  # type: ignore[import-untyped]

from ipseg.crowd import Boxes
from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

_SIDE = 224  # pixels to which images are squashed
_STRIDE = 32  # of the last map
_CELLS = 3  # along each side of a box


@dataclass
class BoxFeatures:
    """ResNet-50 with the weights of ImageNet (V1 of torchvision).

    Attributes:
        weights: the file as torchvision publishes it, a plain state dict.
        gpu_memory_gb: GPU memory in GB: weights 0.1, CUDA itself.
    """

    weights: str = "resnet50-0676ba61.pth"
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.0

    def __post_init__(self) -> None:
        self._network: ResNet | None = None
        self._models = Models()
        self._last = LastBatch()

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the file is missing, damaged, or of another network.
        """
        path = models.locate(self.weights)
        state = read_state_dict(path)
        try:
            with torch.device("meta"):
                network = resnet(state)
        except KeyError as error:
            raise WeightsError(
                f"weights file {path} is not of a ResNet: it has no {error}; name the right file "
                f"in the setting `boxes.weights`"
            ) from error
        load_strict(network, state, path)
        self._network = network.float().eval().to(models.torch_device())
        self._models = models

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Tensor]:
        """(c, 7, 7) of each (H, W, 3) uint8 image; the last batch is cached."""
        return self._last.get(images, lambda: [self._encode(image) for image in images])

    def _encode(self, image: Image) -> Tensor:
        network = self._network
        if network is None:
            raise RuntimeError("call BoxFeatures.setup() first")
        small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
        pixels = normalised(to_pixels([np.asarray(small, np.uint8)]), IMAGENET_MEAN, IMAGENET_STD)
        with self._models.autocast():
            x = pixels.to(self._models.torch_device())
            x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
            for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
                x = stage(x)
        return x[0].float()

    @torch.inference_mode()
    def pooled(
        self, encoded: Tensor, boxes: Boxes, shape: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """(n, c) means over (n, 4) boxes x, y, x, y in an image of this height and width."""
        factor = np.array([_SIDE / shape[1], _SIDE / shape[0]] * 2)
        scaled = torch.from_numpy(boxes * factor).float().to(encoded.device)
        found = roi_align(
            encoded[None], [scaled], _CELLS, spatial_scale=1 / _STRIDE, sampling_ratio=2
        )
        return np.asarray(found.mean(dim=(2, 3)).cpu().numpy(), np.float64)


def resnet(state: Mapping[str, Tensor]) -> ResNet:
    """A ResNet of bottlenecks of the sizes that a state dict has.

    Raises:
        KeyError: it is of another network.
    """
    blocks = [
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")})
        for stage in (1, 2, 3, 4)
    ]
    width, classes = state["layer1.0.conv1.weight"].shape[0], state["fc.bias"].shape[0]
    return ResNet(Bottleneck, blocks, num_classes=classes, width_per_group=width)
