"""GroupViT's network as one part: an image is grouped once, any number of names is read.

Source: GroupViT (Xu et al., CVPR 2022), facts about its released evaluation of segmentation. The
library's own `forward` takes no image of another size than that of training, and its segmentation
has neither windows nor the choice of classes, so that its parts are run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from transformers import GroupViTModel

from ipseg.networks.captions import load_captions
from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

_MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)
_STD = (58.395 / 255, 57.12 / 255, 57.375 / 255)
_LONGEST = 2048  # pixels of a resized image's long side
_LARGEST_SCALE = 100.0  # of similarities
_CAPTION = "a photo of a {}."
_REMEMBERED = 10_000  # names


@dataclass(frozen=True)
class Window:
    """A part of an image, grouped.

    Attributes:
        top: first row in the resized image.
        left: first column.
        group_of: (h, w) int64: the group of each pixel.
        groups: (g, d) float32, normalised.
        whole: (d,) float32, normalised: of the window as a whole.
    """

    top: int
    left: int
    group_of: Tensor
    groups: Tensor
    whole: Tensor


@dataclass(frozen=True)
class Grouped:
    """An image.

    Attributes:
        size: rows and columns of the image.
        resized: the same of what the windows are of.
        windows: in reading order; together they cover the image.
    """

    size: tuple[int, int]
    resized: tuple[int, int]
    windows: tuple[Window, ...]


@dataclass
class GroupVitNetwork:
    """GroupViT of the transformers library.

    Attributes:
        weights: folder or hub id, such as nvidia/groupvit-gcc-yfcc or nvidia/groupvit-gcc-redcaps.
        short_side: pixels to which images are resized, and the side of the windows.
        stride: pixels from a window to the next; None for half of the side.
        gpu_memory_gb: GPU memory in GB: weights 0.2, one window 0.2, CUDA itself.
    """

    weights: str = "nvidia/groupvit-gcc-yfcc"
    short_side: Annotated[int, Field(ge=32)] = 448
    stride: Annotated[int, Field(ge=1)] | None = None
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 1.5

    def __post_init__(self) -> None:
        self._network: Network = None
        self._captions: Any = None
        self._models = Models()
        self._last = LastBatch()
        self._read: dict[str, Tensor] = {}

    @property
    def scale(self) -> float:
        """Of similarities, before they become probabilities."""
        return min(float(self._network.logit_scale.exp()), _LARGEST_SCALE)

    def setup(self, models: Models) -> None:
        """Loads the network and its words.

        Raises:
            WeightsError: they are missing, damaged, or not of a GroupViT.
        """
        location = models.locate(self.weights)
        network = load_network(location, {"groupvit": GroupViTModel})
        words = network.config.text_config
        self._captions = load_captions(location, words.max_position_embeddings, words.vocab_size)
        self._network = network.to(models.torch_device())
        self._models = models

    def encode(self, images: Sequence[Image]) -> list[Grouped]:
        """Groups (H, W, 3) uint8 RGB images; the last batch is cached."""
        return self._last.get(images, lambda: [self._grouped(image) for image in images])

    @torch.inference_mode()
    def read(self, names: Sequence[str]) -> Tensor:
        """(n, d) float32, normalised: what names mean; those that were read are remembered."""
        new = [name for name in dict.fromkeys(names) if name not in self._read]
        if len(self._read) + len(new) > _REMEMBERED:
            self._read.clear()
            new = list(dict.fromkeys(names))
        for name in new:  # one by one: the last digits do not depend on the others
            words = self._captions([_CAPTION.format(name)]).to(self._models.torch_device())
            found = self._network.get_text_features(**words).pooler_output
            self._read[name] = functional.normalize(found.float(), dim=-1)[0]
        return torch.stack([self._read[name] for name in names])

    def _grouped(self, image: Image) -> Grouped:
        height, width = image.shape[:2]
        short, long = min(height, width), max(height, width)
        scale = min(_LONGEST / long, self.short_side / short)
        least = self._network.config.vision_config.patch_size  # of very long images
        resized = (max(least, int(height * scale + 0.5)), max(least, int(width * scale + 0.5)))
        small = cv2.resize(image, resized[::-1], interpolation=cv2.INTER_LINEAR)
        pixels = normalised(to_pixels([np.asarray(small, np.uint8)]), _MEAN, _STD).to(
            self._models.torch_device()
        )
        windows = [self._window(pixels, top, left) for top, left in self._corners(resized)]
        return Grouped((height, width), resized, tuple(windows))

    def _corners(self, resized: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Of windows at a stride; the last of a row or column ends with the image."""
        side = self.short_side
        stride = self.stride or side // 2
        tops, lefts = (_starts(length, side, stride) for length in resized)
        yield from ((top, left) for top in tops for left in lefts)

    @torch.inference_mode()
    def _window(self, pixels: Tensor, top: int, left: int) -> Window:
        part = pixels[..., top : top + self.short_side, left : left + self.short_side]
        model = self._network.vision_model
        with self._models.autocast():
            embedded = model.embeddings(part, interpolate_pos_encoding=True)
            found = model.encoder(embedded, output_attentions=True)
            tokens = model.layernorm(found.last_hidden_state)[0]
            every = torch.cat([tokens, tokens.mean(dim=0, keepdim=True)])
            projected = self._network.visual_projection(every).float()
        features = functional.normalize(projected, dim=-1)
        assigned = found.attentions[0][0].float()  # (groups of the first stage, patches), soft
        for later in found.attentions[1:]:
            assigned = later[0].float() @ assigned
        patch = model.config.patch_size
        grid = [length // patch for length in part.shape[2:]]
        share = functional.interpolate(
            assigned.reshape(1, -1, *grid), part.shape[2:], mode="bilinear", align_corners=False
        )
        return Window(top, left, share[0].argmax(dim=0), features[:-1], features[-1])


def _starts(length: int, side: int, stride: int) -> list[int]:
    """Of windows that cover a length, the last of which ends with it."""
    last = max(0, length - side)
    return [*range(0, last, stride), last]
