"""Stable Diffusion features: hidden states of the UNet for a slightly noised image.

Source: Zhang et al., "A Tale of Two Features" (2023), as used by the released IPSeg code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ipseg.errors import ConfigError
from ipseg.features.dense import DenseExtractor
from ipseg.features.odise import load_time_conditioning
from ipseg.features.stable_diffusion_network import TAPS, Layer, load_diffusion
from ipseg.features.windows import paste, window_starts
from ipseg.networks.batching import at_once, in_micro_batches
from ipseg.networks.models import Models
from ipseg.networks.pixels import to_pixels
from ipseg.networks.pretrained import Network
from ipseg.rows import Image
from ipseg.vision.letterbox import letterbox


@dataclass(kw_only=True)
class StableDiffusion(DenseExtractor):
    """Decoder states of Stable Diffusion 1.x or 2.x, without text.

    Attributes:
        weights: hub id or folder in the layout of diffusers.
        size: side of the letterboxed canvas in pixels.
        window: `sliding` runs windows of `crop` pixels, as released: four of them, each a separate
            image for the network; `single` runs the whole canvas.
        crop: side of a window in pixels.
        timestep: noise level, of 1000: 100 as released, 50 in the paper.
        layers: hidden states and their weights: 's5' (coarse), 's4', 's3' (fine). The network is
            not run beyond the last one.
        seed: of the noise, the same for every window and image.
        odise: ODISE's checkpoint, for its learned term in the time embedding; None leaves it out.
        odise_clip: the CLIP model of this term.
        batch: windows in one pass; None takes as many on an NVIDIA card as `gpu_memory_gb` has room
            for, and 4 elsewhere. Halved when GPU memory runs out.
        gpu_memory_gb: GPU memory for weights and activations of four windows, in GB.
    """

    weight: Annotated[float, Field(ge=0)] = 0.1
    weights: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    size: Annotated[int, Field(gt=0)] = 960
    window: Literal["sliding", "single"] = "sliding"
    crop: Annotated[int, Field(gt=0)] = 512
    timestep: Annotated[int, Field(ge=0)] = 100
    layers: dict[Layer, Annotated[float, Field(ge=0)]] = field(
        default_factory=lambda: {"s5": 0.3, "s4": 0.2, "s3": 0.1}
    )
    seed: int = 42
    odise: str | None = None
    odise_clip: str = "openai/clip-vit-large-patch14-336"
    batch: Annotated[int, Field(ge=1)] | None = None
    # UNet to the last tap 0.82 G parameters and VAE encoder 0.03 G, x 4 bytes = 3.4 GB. The VAE's
    # first level is the widest: 4 windows x 128 channels x 512 x 512 x 4 bytes = 0.54 GB, five
    # such tensors at a time; its attention 0.3 GB; the libraries 0.5 GB; some reserve.
    # The ODISE term adds CLIP-L, 0.3 G parameters or 1.2 GB: set 9.5 with it.
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 8.0

    _at_once: int = field(init=False, repr=False, default=4)
    _network: Network = field(init=False, repr=False, default=None)
    _conditioning: Network = field(init=False, repr=False, default=None)

    @property
    def layer_weights(self) -> dict[str, float]:
        """Layer -> weight, of the layers with a weight above 0."""
        return {layer: self.layers[layer] for layer in TAPS if self.layers.get(layer, 0) > 0}

    def setup(self, models: Models) -> None:
        """Loads the networks and embeds the empty caption.

        Raises:
            WeightsError: weights are missing, damaged or of another architecture.
            ConfigError: no layer has a weight, the timestep does not exist, or windows do not end
                on borders between cells.
        """
        super().setup(models)
        layers = [layer for layer in TAPS if layer in self.layer_weights]
        if not layers:
            raise ConfigError("features.stable_diffusion.layers: at least one weight must be > 0")
        device = models.torch_device()
        network = load_diffusion(models.locate(self.weights), self.timestep, layers)
        side = self._window_side()
        for name, pixels in (("size", self.size), ("crop", side)):
            if pixels % network.cell or pixels > self.size:
                raise ConfigError(
                    f"features.stable_diffusion.{name} is {pixels} pixels; it must be a multiple "
                    f"of {network.cell} (one cell of the coarsest layer) and at most {self.size}"
                )
        network.draw_noise(side, self.seed)
        self._network = network.to(device)
        if self.odise is not None:
            channels = int(network.unet.time_embedding.linear_2.out_features)
            self._conditioning = load_time_conditioning(
                models.locate(self.odise), models.locate(self.odise_clip), channels
            ).to(device)

    def tune(self) -> None:
        """Finds out how many windows fit where `batch` is None."""
        if self.batch is None:
            blank = np.zeros((self._window_side(), self._window_side(), 3), np.uint8)
            tried = at_once(lambda n: self._states([blank] * n), self._network, self.gpu_memory_gb)
            self._at_once = tried or self._at_once

    def features(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """Per image and layer (c, n, n) float32: 15, 30 and 60 cells for 960 pixels."""
        side = self._window_side()
        starts = window_starts(self.size, side)
        crops = [
            canvas[y : y + side, x : x + side]
            for canvas in (letterbox(image, self.size) for image in images)
            for y, x in starts
        ]
        states = in_micro_batches(self._states, crops, self.batch or self._at_once)
        count = len(starts)
        return [
            {
                layer: paste([s[layer] for s in states[i : i + count]], starts, self.size, side)
                for layer in self.layer_weights
            }
            for i in range(0, len(states), count)
        ]

    def _window_side(self) -> int:
        return self.crop if self.window == "sliding" else self.size

    def _states(self, crops: Sequence[Image]) -> list[dict[str, Tensor]]:
        pixels = to_pixels(crops, self._network.text.device)
        with torch.inference_mode(), self.models.autocast():
            term = self._conditioning(pixels) if self._conditioning is not None else None
            states = self._network(pixels, term)
        return [{layer: grids[i] for layer, grids in states.items()} for i in range(len(crops))]
