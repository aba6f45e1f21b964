"""Extractors whose features are square maps of a letterboxed canvas, and how they are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ipseg.features.pooling import Pooling, prompt_embedding, prompt_weights, weighted_mean
from ipseg.features.similarity import Similarity, cosine_similarity, standardise, unit
from ipseg.networks.models import Models
from ipseg.networks.shared import LastBatch
from ipseg.rows import Arrays, Image, Map
from ipseg.vision.geometry import resize_map
from ipseg.vision.letterbox import kept_band, source_cells

_BEST_CELLS = 32  # as many as vote for positive points in the published method


@dataclass(kw_only=True)
class DenseExtractor(ABC):
    """Features in every cell of a grid, from one or several layers of a network.

    A subclass says what the features are; here they are pooled under the prompt's mask and
    compared by cosine, on the device. Feature maps never leave it, similarity maps do.

    Attributes:
        weight: share in the fused similarity map, >= 0 (released: DINOv2 1, Stable Diffusion 0.1).
        erosion: shrink the prompt's mask by one cell before features are pooled under it.
        pooling: 'hard' averages cells with mask > 0.5 (released), 'soft' weighs all cells with
            the mask (equation 5 of the paper).
        fusion: 'sum' pools raw features and adds the cosines of layers, weighted (released).
            'concat' normalises each layer's cells before they are pooled, and does not normalise
            afterwards: the weighted sum, over layers and over extractors set to 'concat', is then
            the cosine of the concatenated features (equation 4 of the paper) times a factor that
            depends on the concept alone, so that it ranks cells alike.
        cells: rows and columns of the grid on which layers meet, which covers the image alone.
        standardise_channels: give each channel zero mean and unit deviation over the image, which
            takes away what all of its cells share; the published method does not.
        standardise_map: give out each map with zero mean and unit deviation over the image, as the
            classical segmenter wants its evidence; the published method does not.
        gpu_memory_gb: declared need of weights and activations, batch 1.
        models: where weights come from and how they run; given to `setup`.
    """

    weight: Annotated[float, Field(ge=0)] = 1.0
    erosion: bool = True
    pooling: Pooling = "hard"
    fusion: Literal["sum", "concat"] = "sum"
    cells: Annotated[int, Field(ge=1)] = 60
    standardise_channels: bool = False
    standardise_map: bool = False
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 0.0
    models: Models = field(init=False, repr=False, compare=False)
    _last: LastBatch = field(init=False, repr=False, compare=False, default_factory=LastBatch)

    @property
    @abstractmethod
    def layer_weights(self) -> dict[str, float]:
        """Weight, >= 0, of each layer's cosine in this extractor's map, in the order of adding."""

    @abstractmethod
    def features(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """Per image: layer -> (c, n, n) float32 on the device, of the letterboxed square canvas.

        Any n, and another for each layer. It may hold more layers than `layer_weights` names.
        """

    def setup(self, models: Models) -> None:
        """Remembers `models`; a subclass loads its network as well."""
        self.models = models

    def describe(self, image: Image, mask: Map) -> Arrays:
        """What the object of one prompt image looks like: layer -> (c,) float32.

        A unit vector for fusion 'sum'; for 'concat' the mean of unit vectors, of length <= 1.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: (H, W) in [0, 1]; see `prompt_weights` for what is done where nothing of it is
                left on the grid.

        Raises:
            PromptError: the mask is zero everywhere.
        """
        weights = prompt_weights(mask, self.cells, erosion=self.erosion, pooling=self.pooling)
        height, width = image.shape[:2]
        layers = self._layers([image])[0]
        described = {}
        for name in self.layer_weights:
            rows, columns = source_cells(width, height, layers[name].shape[-1], self.cells)
            layer = layers[name][:, rows][:, :, columns].permute(1, 2, 0)
            shares = torch.from_numpy(weights).to(layer.device)
            if self.fusion == "sum":
                pooled = prompt_embedding(layer, shares)
            else:
                pooled = weighted_mean(unit(layer), shares)
            described[name] = pooled.cpu().numpy()
        return described

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """The mean over a concept's prompt images, each counting the same.

        Of unit vectors (fusion 'sum') the mean is normalised again.
        """
        merged = {name: np.mean([view[name] for view in views], axis=0) for name in views[0]}
        return {n: unit(v) for n, v in merged.items()} if self.fusion == "sum" else merged

    def compare(
        self,
        images: Sequence[Image],
        bank: Sequence[Arrays],
        grids: Sequence[tuple[int, int]],
    ) -> list[Similarity]:
        """Compares images, described once each, with every concept of the bank.

        The map is the weighted sum of the layers' cosines. Presence is the mean, over the 32 best
        cells, of the map divided by what it can reach at most (so a cosine), with 0 for negative
        values.

        Args:
            images: (H, W, 3) uint8 RGB each, of any sizes.
            bank: P descriptions from `describe` or `merge`.
            grids: (gh, gw) wanted for each image; `cells` x `cells` maps are exact, others are
                copied from the nearest of those.

        Returns:
            One `Similarity` for each image.
        """
        device = self.models.torch_device()
        embeddings = {
            name: torch.from_numpy(np.stack([entry[name] for entry in bank])).to(device)
            for name in self.layer_weights
        }
        reach = self._reach(embeddings)
        found = []
        for image, layers, grid in zip(images, self._layers(images), grids, strict=True):
            maps = self._fuse(layers, embeddings, image.shape[1], image.shape[0])
            best = maps.flatten(1).topk(min(_BEST_CELLS, self.cells**2)).values.mean(1)
            presence = (best / reach).clamp(0, 1)
            on_grid = np.stack([resize_map(m, grid, "nearest") for m in maps.cpu().numpy()])
            if self.standardise_map:
                on_grid = np.stack([standardise(each) for each in on_grid])
            found.append(Similarity(maps=on_grid, presence=presence.cpu().numpy()))
        return found

    def _layers(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """`features`, with their channels standardised if that is asked for."""
        found = self._last.get(images, lambda: self.features(images))
        if not self.standardise_channels:
            return found
        return [
            {n: _standardised(each[n], image.shape[1], image.shape[0]) for n in self.layer_weights}
            for image, each in zip(images, found, strict=True)
        ]

    def _fuse(
        self, layers: dict[str, Tensor], embeddings: dict[str, Tensor], width: int, height: int
    ) -> Tensor:
        """(P, cells, cells) weighted sum, in order, of the cosines of layers."""
        maps = []
        for name, weight in self.layer_weights.items():
            # Cosines first, cells next: a copied cell needs no computing, and ties stay exact.
            scores = cosine_similarity(layers[name].permute(1, 2, 0), embeddings[name])
            rows, columns = source_cells(width, height, scores.shape[-1], self.cells)
            maps.append(weight * scores[:, rows][:, :, columns])
        return sum(maps[1:], maps[0])

    def _reach(self, embeddings: dict[str, Tensor]) -> Tensor:
        """(P,) the highest value each concept's map can have: the product of two lengths.

        Those of the concatenated prompt and of a concatenated cell, whose parts are scaled by the
        square roots of their weights; for unit vectors the sum of the weights.
        """
        weights = self.layer_weights
        squares = [w * (embeddings[name] ** 2).sum(-1) for name, w in weights.items()]
        length = sum(squares[1:], squares[0]).sqrt()
        return (length * sum(weights.values()) ** 0.5).clamp(min=1e-12)


def _standardised(layer: Tensor, width: int, height: int) -> Tensor:
    """(c, n, n), each channel standardised over the cells that show the image, not the padding."""
    top, bottom, left, right = kept_band(width, height, layer.shape[-1])
    shown = layer[:, top:bottom, left:right]
    mean = shown.mean(dim=(1, 2), keepdim=True)
    deviation = shown.std(dim=(1, 2), keepdim=True, correction=0)
    return (layer - mean) / deviation.clamp(min=1e-6)
