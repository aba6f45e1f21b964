"""GroundingDINO (Liu et al., ECCV 2024) of the transformers library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor, nn
from transformers import BertTokenizer, GroundingDinoForObjectDetection

from ipseg.detectors import Detections
from ipseg.errors import WeightsError
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.pretrained import DAMAGED, Network, load_network, unreadable
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image


@dataclass(frozen=True)
class Encoded:
    """One image.

    Attributes:
        pixels: (1, 3, h, w) float32, normalised.
        found: what the backbone gives: features with their masks, and positions, for each level.
        shape: height, width of the image.
    """

    pixels: Tensor
    found: tuple[list[Any], list[Any]]
    shape: tuple[int, int]


class EncodedBefore(nn.Module):
    """Stands where a detector has its backbone, and gives what that found before.

    The detector's own `forward` runs the backbone again for every caption.
    """

    def __init__(self, backbone: Network) -> None:
        super().__init__()
        self.backbone = backbone
        self.given: tuple[list[Any], list[Any]] | None = None

    @property
    def position_embedding(self) -> Network:
        """Of the backbone; the detector adds levels of its own with it."""
        return self.backbone.position_embedding

    def forward(self, pixels: Tensor, mask: Tensor) -> tuple[list[Any], list[Any]]:
        """Features and positions; copies of the lists, which the detector extends."""
        features, positions = self.backbone(pixels, mask) if self.given is None else self.given
        return list(features), list(positions)


@dataclass
class GroundingDino:
    """Finds what a caption names.

    Attributes:
        weights: folder or hub id of a GroundingDINO in the form of transformers.
        threshold: from 0 to 1, above which a box counts: the largest probability that it is one of
            the caption's tokens.
        short_side: pixels to which images are resized.
        long_side: pixels that the longer side may have at most.
        gpu_memory_gb: GPU memory in GB: weights 0.7, activations of one image, CUDA itself.
    """

    weights: str = "IDEA-Research/grounding-dino-tiny"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.15
    short_side: Annotated[int, Field(ge=32)] = 800
    long_side: Annotated[int, Field(ge=32)] = 1333
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 4.0

    def __post_init__(self) -> None:
        self._network: Network = None
        self._tokens: Any = None
        self._models = Models()
        self._last = LastBatch()

    def setup(self, models: Models) -> None:
        """Loads the network and its words.

        Raises:
            WeightsError: they are missing, damaged, or not of a GroundingDINO.
        """
        location = models.locate(self.weights)
        network = load_network(location, {"grounding-dino": GroundingDinoForObjectDetection})
        folder = Path(location) if Path(location).is_dir() else Path(location).parent
        try:
            self._tokens = BertTokenizer.from_pretrained(str(folder), local_files_only=True)
        except DAMAGED as error:
            raise unreadable(folder, error) from error
        # Without its files, the library makes a tokenizer of five words.
        known, needed = len(self._tokens), network.config.text_config.vocab_size
        if known != needed:
            raise WeightsError(
                f"{folder} has {known} words for a network of {needed}: vocab.txt is missing or "
                f"of another model; get it again with `ipseg weights fetch PROFILE`"
            )
        network.model.backbone = EncodedBefore(network.model.backbone)
        self._network = network.to(models.torch_device())
        self._models = models

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """One pass of the backbone for each (H, W, 3) uint8 image; the last batch is cached."""
        if self._network is None:
            raise RuntimeError("call GroundingDino.setup() first")
        return self._last.get(images, lambda: [self._encode(image) for image in images])

    def _encode(self, image: Image) -> Encoded:
        pixels = to_input(image, self.short_side, self.long_side).to(self._models.torch_device())
        backbone = self._network.model.backbone
        backbone.given = None
        return Encoded(pixels, backbone(pixels, _everywhere(pixels)), image.shape[:2])

    @torch.inference_mode()
    def detect(self, encoded: Encoded, caption: str) -> Detections:
        """See `Detector.detect`: lower case, a full stop added; boxes as found, no NMS."""
        words = self._tokens(
            caption.lower().strip().rstrip(".") + ".",
            truncation=True,
            max_length=self._network.config.max_text_len,
            return_tensors="pt",
        ).to(encoded.pixels.device)
        self._network.model.backbone.given = encoded.found
        found = self._network(
            pixel_values=encoded.pixels, pixel_mask=_everywhere(encoded.pixels), **words
        )
        scores = found.logits[0].sigmoid().amax(dim=1)
        chosen = scores > self.threshold
        height, width = encoded.shape
        middle, size = found.pred_boxes[0][chosen].split(2, dim=1)
        boxes = torch.cat([middle - size / 2, middle + size / 2], dim=1).cpu().numpy()
        return Detections(
            boxes * np.array([width, height] * 2, np.float32), scores[chosen].cpu().numpy()
        )


def _everywhere(pixels: Tensor) -> Tensor:
    return pixels.new_ones((1, *pixels.shape[2:]), dtype=torch.long)


def to_input(image: Image, short_side: int, long_side: int) -> Tensor:
    """(H, W, 3) uint8 RGB -> (1, 3, h, w) float32, resized in its aspect, normalised."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    target = short_side
    if long / short * target > long_side:
        target = round(long_side * short / long)
    target = max(1, target)
    other = max(1, int(target * long / short))
    size = (target, other) if width < height else (other, target)
    small = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
    return normalised(to_pixels([np.array(small)]), IMAGENET_MEAN, IMAGENET_STD)
