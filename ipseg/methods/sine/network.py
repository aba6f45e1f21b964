"""SINE's networks as one part: loaded once in a worker, an image is encoded once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ipseg.errors import ConfigError, WeightsError
from ipseg.methods.sine.architecture import (
    RELEASED,
    Sine,
    on_meta,
    own_encoder,
    recognise,
    trained,
)
from ipseg.methods.sine.canvas import Canvas, Placed, View
from ipseg.methods.sine.encoder import cells_of, encoder_of, load_encoder
from ipseg.methods.sine.mformer import MFormer
from ipseg.networks.batching import in_micro_batches
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models
from ipseg.networks.pretrained import Network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image


@dataclass(frozen=True)
class Encoded:
    """An image as the M-Former gets it.

    Attributes:
        features: (c, h, w) float32, on the device.
        view: which part of the canvas is image.
    """

    features: Tensor
    view: View


@dataclass
class SineNetwork:
    """DINOv2, the neck behind it and the M-Former.

    Attributes:
        weights: the released state dict, pytorch_model.bin under this name; with DINOv2 in it or
            without.
        encoder: DINOv2 for a file without it: hub id, folder, or the released file.
        layers: that the decoder in the file must have.
        batch: canvases that go through DINOv2 at a time; halved when GPU memory runs out.
        gpu_memory_gb: GPU memory in GB: weights 1.3 (323 million float32), a canvas of 64 x 64
            tokens through ViT-L 0.5, mask logits of 200 instances and what is made of 16 of them
            at a time 0.4, the libraries 0.5; what is left is for the larger canvas of videos.
    """

    weights: str = "sine_vitl14.pth"
    encoder: str = "facebook/dinov2-large"
    layers: Annotated[int, Field(ge=1)] = RELEASED.layers
    batch: Annotated[int, Field(ge=1)] = 1
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 4.0

    models: Models = field(init=False, repr=False, compare=False)
    _encoder: Network = field(init=False, repr=False, compare=False, default=None)
    _trained: Sine = field(init=False, repr=False, compare=False)
    _last: dict[Canvas, LastBatch] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def mformer(self) -> MFormer:
        """The decoder."""
        return self._trained.transformer_decoder

    @property
    def patch(self) -> int:
        """Pixels of a token's side."""
        return int(self._encoder.config.patch_size)

    def setup(self, models: Models) -> None:
        """Loads both networks.

        Raises:
            WeightsError: a file is missing, damaged, not of a SINE, or lacks a tensor.
        """
        self.models = models
        path = models.locate(self.weights)
        state = read_state_dict(path)
        inside = own_encoder(state)
        encoder = encoder_of(inside, path) if inside else load_encoder(self._locate_encoder(path))
        width = int(encoder.config.hidden_size)
        network = on_meta(recognise(state, self.layers, width, path))
        load_strict(network, trained(state), path)
        device = models.torch_device()
        self._trained = network.float().requires_grad_(False).eval().to(device)
        self._encoder = encoder.float().to(device)

    def _locate_encoder(self, path: str) -> str:
        try:
            return self.models.locate(self.encoder)
        except WeightsError as error:
            raise WeightsError(f"{path} has no DINOv2 in it, and: {error}") from error

    def check(self, canvas: Canvas) -> None:
        """Refuses a canvas that is not of whole patches.

        Raises:
            ConfigError: it is not.
        """
        if canvas.side % self.patch:
            near = max(1, round(canvas.side / self.patch)) * self.patch
            raise ConfigError(
                f"canvas.side is {canvas.side}, not a multiple of the patch of {self.patch} "
                f"pixels: set canvas.side={near}"
            )

    def encode(self, images: Sequence[Image], canvas: Canvas) -> list[Encoded]:
        """Each image as the M-Former gets it; those of the last call are remembered.

        Args:
            images: (H, W, 3) uint8 RGB each.
            canvas: how they lie in the canvas.

        Raises:
            ConfigError: see `check`.
            ImageError: an image is too long for its width.
        """
        self.check(canvas)
        last = self._last.setdefault(canvas, LastBatch())
        return last.get(images, lambda: self._encode([canvas.place(i, self.patch) for i in images]))

    def _encode(self, placed: Sequence[Placed]) -> list[Encoded]:
        if len({each.view.canvas for each in placed}) > 1:  # tight ones are encoded one by one
            return [each for one in placed for each in self._encode([one])]
        features = in_micro_batches(self._features, placed, self.batch)
        return [Encoded(f, each.view) for f, each in zip(features, placed, strict=True)]

    @torch.inference_mode()
    def _features(self, placed: Sequence[Placed]) -> list[Tensor]:
        pixels = torch.stack([each.pixels for each in placed]).to(self.models.torch_device())
        with self.models.autocast():
            cells = cells_of(self._encoder, pixels)
        # In float32, like all that follows: it is small, and masks are cut at zero.
        return list(self._trained.image_encoder.neck(cells))
