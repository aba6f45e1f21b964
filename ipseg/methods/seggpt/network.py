"""SegGPT's network as one part: patches are embedded once, then one pass for each concept.

The network paints: it gets a prompt image above the image, the prompt's mask above nothing, and
fills in what is missing. Both are attended to together from the first layer on, so that all that an
image has in common for several concepts are the embeddings of its patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from transformers import SegGptForImageSegmentation

from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image, Mask

Embedding = Literal["instance", "semantic"]
Several = Literal["original", "transformers", "apart"]


@dataclass
class SegGptNetwork:
    """SegGPT (Wang et al., ICCV 2023) of the transformers library.

    Attributes:
        weights: folder or hub id.
        gpu_memory_gb: GPU memory in GB: weights 1.5 (370 million float32), attention of one prompt
            1.3 (four tensors of 2 x 16 x 1568 x 1568), the decoder 0.4, CUDA itself. Each prompt
            more of a concept takes 1.5.
    """

    weights: str = "BAAI/seggpt-vit-large"
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 4.0

    def __post_init__(self) -> None:
        self._network: Network = None
        self._models = Models()
        self._last = LastBatch()

    @property
    def side(self) -> int:
        """Pixels of the square that images are squashed to; 448 as published."""
        return int(self._network.config.image_size[1])

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: weights are missing, damaged, or not of a SegGPT.
        """
        self._models = models
        network = load_network(models.locate(self.weights), {"seggpt": SegGptForImageSegmentation})
        self._network = network.to(models.torch_device())

    def encode(self, images: Sequence[Image]) -> list[Tensor]:
        """The patches of (H, W, 3) uint8 RGB images; the last batch is cached.

        Returns:
            For each image (h, w, c) float32 on the network's device.
        """
        return self._last.get(images, lambda: [self._patches(self.squashed(i)) for i in images])

    def encode_mask(self, mask: Mask) -> Tensor:
        """The patches of a mask at the size of the network: (h, w, c); see `squashed_mask`."""
        return self._patches(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))

    def squashed(self, image: Image) -> Image:
        """An (H, W, 3) image as the network gets it: bicubic, whatever its aspect."""
        small = PillowImage.fromarray(image).resize([self.side] * 2, PillowImage.Resampling.BICUBIC)
        return np.array(small)

    def squashed_mask(self, mask: Mask) -> Mask:
        """An (H, W) mask likewise: nearest. A small object may vanish."""
        small = PillowImage.fromarray(mask).resize([self.side] * 2, PillowImage.Resampling.NEAREST)
        return np.array(small)

    @torch.inference_mode()
    def _patches(self, image: Image) -> Tensor:
        pixels = normalised(to_pixels([image]), IMAGENET_MEAN, IMAGENET_STD)
        project = self._network.model.embeddings.patch_embeddings.projection
        patches: Tensor = project(pixels.to(self._models.torch_device()))
        return patches[0].permute(1, 2, 0)

    @torch.inference_mode()
    def paint(
        self,
        target: Tensor,
        prompts: Tensor,
        masks: Tensor,
        embedding: Embedding = "instance",
        several: Several = "original",
    ) -> Tensor:
        """What the network paints below each prompt's mask.

        Args:
            target: (h, w, c) patches of the image.
            prompts: (n, h, w, c) patches of the prompt images.
            masks: (n, h, w, c) patches of their masks.
            embedding: which of the two type tokens.
            several: how several prompts are brought together. `original`: in each layer, what the
                target's cells attend to is averaged over the prompts, image and mask by themselves
                while there are both. `transformers`: its library's `feature_ensemble`, which in the
                last layer that has both averages image and mask together. `apart`: not at all, each
                prompt by itself.

        Returns:
            (n, 3, 2 side, side) float32, normalised colours, the prompt's half above. With several
            prompts that are not `apart`, the lower halves differ in their first row alone, and the
            first is the answer.
        """
        network = self._network.model
        with self._models.autocast():
            hidden = self._embedded(target, prompts, masks, embedding)
            together = several != "apart" and len(prompts) > 1
            kept = []
            merge_at = network.config.merge_index
            for number, layer in enumerate(network.encoder.layers):
                # Whether the layer takes its batch for images and masks.
                both = number < merge_at or (number == merge_at and several == "original")
                hidden = layer(hidden, 2 if both else 1, together)[0]
                if number == merge_at:
                    hidden = torch.stack(hidden.chunk(2)).mean(dim=0)
                if number in network.config.intermediate_hidden_state_indices:
                    kept.append(network.encoder.layernorm(hidden))
            painted: Tensor = self._network.decoder(torch.cat(kept, dim=-1))
        return painted.float()

    def _embedded(
        self, target: Tensor, prompts: Tensor, masks: Tensor, embedding: Embedding
    ) -> Tensor:
        """(2 n, 2 h, w, c): images above masks, with their tokens and positions."""
        parts = self._network.model.embeddings
        below = target.expand_as(prompts)
        images = torch.cat([prompts, below], dim=1) + parts.segment_token_input
        nothing = parts.mask_token.expand_as(masks)
        painted = torch.cat([masks, nothing], dim=1) + parts.segment_token_prompt
        kind = getattr(parts, f"type_token_{embedding}")
        places = parts.interpolate_pos_encoding(*images.shape[1:3])
        return torch.cat([images, painted]) + places + kind


def levels(painted: Tensor) -> Tensor:
    """Grey levels of the answer.

    Args:
        painted: (3, 2 side, side), from `SegGptNetwork.paint`.

    Returns:
        (side, side) float32 in [0, 255]: the mean of the three colours.
    """
    lower = painted[:, painted.shape[1] // 2 :]
    mean, deviation = (lower.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((lower * deviation + mean) * 255).clamp(0, 255).mean(dim=0)


def enlarged(level: Tensor, size: tuple[int, int]) -> Tensor:
    """(side, side) levels over an image of (rows, columns), each pixel the nearest level."""
    return functional.interpolate(level[None, None], size, mode="nearest")[0, 0]
