"""Dense features of a vision transformer: its patch tokens as a square grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ipseg.errors import ConfigError
from ipseg.features.dense import DenseExtractor
from ipseg.networks.batching import at_once, in_micro_batches
from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network, normalisation
from ipseg.rows import Image
from ipseg.vision.letterbox import letterbox

LAYER = "tokens"

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class VitExtractor(DenseExtractor):
    """Base of extractors with one network from the transformers library.

    Attributes:
        weights: hub id, folder, or .safetensors file next to its config.json; of DINOv3 also a
            .pth file as released.
        size: side of the letterboxed canvas in pixels; rounded down to a multiple of the patch.
        batch: canvases in one pass; None takes as many on an NVIDIA card as `gpu_memory_gb` has
            room for, and 1 elsewhere. Halved when GPU memory runs out.
    """

    weights: str
    size: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(ge=1)] | None = None
    _at_once: int = field(init=False, repr=False, default=1)
    _network: Network = field(init=False, repr=False, default=None)
    _side: int = field(init=False, repr=False, default=0)
    _normalisation: Any = field(init=False, repr=False, default=None)

    classes: ClassVar[Mapping[str, type[PreTrainedModel]]]
    ignored: ClassVar[tuple[str, ...]] = ()
    """Prefixes of tensors in checkpoints that are not part of the network: heads, other towers."""

    @property
    def layer_weights(self) -> dict[str, float]:
        """The only layer, with weight 1."""
        return {LAYER: 1.0}

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the weights are missing, damaged or of another architecture.
            ConfigError: the canvas is smaller than one patch.
        """
        super().setup(models)
        location = models.locate(self.weights)
        network = self.load(location)
        patch = int(network.config.patch_size)
        self._side = self.size // patch * patch
        if self._side == 0:
            raise ConfigError(f"size is {self.size} pixels, less than one patch of {patch}")
        if self._side != self.size:
            _log.warning(
                "size %d is not a multiple of the patch of %d; using %d",
                self.size,
                patch,
                self._side,
            )
        self.adapt(network, self._side // patch)
        self._network = network.to(models.torch_device())
        self._normalisation = normalisation(location)

    def load(self, location: str) -> Network:
        """The network with all its weights."""
        return load_network(location, self.classes, self.ignored)

    def tune(self) -> None:
        """Finds out how many canvases fit where `batch` is None."""
        if self.batch is None:
            blank = np.zeros((self._side, self._side, 3), np.uint8)
            tried = at_once(lambda n: self._grids([blank] * n), self._network, self.gpu_memory_gb)
            self._at_once = tried or 1

    def adapt(self, network: Network, cells: int) -> None:
        """Prepares the loaded network for a grid of cells x cells patches."""

    def tokens(self, network: Network, pixels: Tensor) -> Tensor:
        """(b, 3, s, s) normalised pixels -> (b, t, c); patches come last, in reading order."""
        return network(pixels).last_hidden_state

    def features(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """For each image one layer 'tokens', (c, n, n) float32, n = size / patch."""
        canvases = [letterbox(image, self._side) for image in images]
        return in_micro_batches(self._grids, canvases, self.batch or self._at_once)

    def _grids(self, canvases: Sequence[Image]) -> list[dict[str, Tensor]]:
        pixels = to_pixels(canvases, self.models.torch_device())
        with torch.inference_mode(), self.models.autocast():
            tokens = self.tokens(self._network, normalised(pixels, *self._normalisation))
        cells = self._side // int(self._network.config.patch_size)
        patches = tokens[:, -cells * cells :].float().transpose(1, 2)
        grids = patches.reshape(len(patches), -1, cells, cells)
        return [{LAYER: grid} for grid in grids]
