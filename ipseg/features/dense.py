"""Extractors with square feature maps of a letterboxed canvas, compared by cosine."""

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

_BEST_CELLS = 32  # the number of cells that vote for positive points in the paper


@dataclass(kw_only=True)
class DenseExtractor(ABC):
    """Features in every cell of a grid, from one or several layers of a network.

    Subclasses compute the features; this class pools them under the mask of the prompt and compares
    them by cosine, on the device. Only similarity maps leave the device, not feature maps.

    Attributes:
        weight: of its map in the fused similarity map; 0 leaves it out (released: DINOv2 1, Stable
            Diffusion 0.1).
        erosion: erodes the mask of the prompt by one cell before pooling.
        pooling: 'hard' averages cells with mask > 0.5 (released), 'soft' weights all cells by the
            mask (equation 5 of the paper).
        fusion: 'sum' pools raw features and adds the weighted cosines of layers (released).
            'concat' normalises the cells of each layer before pooling, but not the result: the
            weighted sum, over layers and over extractors set to 'concat', is then the cosine of the
            concatenated features (equation 4 of the paper) times a factor that depends only on the
            concept, so that the ranking of cells is the same.
        cells: rows and columns of the common grid of all layers, which covers the image without
            padding.
        standardise_channels: gives each channel zero mean and unit deviation over the image, which
            removes what all cells have in common; not in the published method.
        standardise_map: returns each map with zero mean and unit deviation over the image, which
            the classical segmenter needs; not in the published method.
        gpu_memory_gb: GPU memory for weights and activations, batch 1, in GB.
        models: where weights are and how they run; set by `setup`.
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
        """Weight, >= 0, of the cosine of each layer in the map, in the order of summation."""

    @abstractmethod
    def features(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """Per image: layer -> (c, n, n) float32 on the device, of the letterboxed square canvas.

        Layers may differ in n. There may be more layers than in `layer_weights`.
        """

    def setup(self, models: Models) -> None:
        """Stores `models`; subclasses also load their network."""
        self.models = models

    def prompt_features(self, image: Image, mask: Map) -> Arrays:
        """Pooled features of the object in one prompt image: layer -> (c,) float32.

        A unit vector for fusion 'sum'; for 'concat' the mean of unit vectors, of length <= 1.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: (H, W) in [0, 1]; see `prompt_weights` for masks too small for the grid.

        Raises:
            PromptError: the mask is zero everywhere.
        """
        weights = prompt_weights(mask, self.cells, erosion=self.erosion, pooling=self.pooling)
        height, width = image.shape[:2]
        layers = self._layers([image])[0]
        embeddings = {}
        for name in self.layer_weights:
            rows, columns = source_cells(width, height, layers[name].shape[-1], self.cells)
            layer = layers[name][:, rows][:, :, columns].permute(1, 2, 0)
            shares = torch.from_numpy(weights).to(layer.device)
            if self.fusion == "sum":
                pooled = prompt_embedding(layer, shares)
            else:
                pooled = weighted_mean(unit(layer), shares)
            embeddings[name] = pooled.cpu().numpy()
        return embeddings

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """The mean over the prompt images of a concept, with equal weights.

        With fusion 'sum', the mean of unit vectors is normalised again.
        """
        merged = {name: np.mean([view[name] for view in views], axis=0) for name in views[0]}
        return {n: unit(v) for n, v in merged.items()} if self.fusion == "sum" else merged

    def compare(
        self, images: Sequence[Image], bank: Sequence[Arrays], grids: Sequence[tuple[int, int]]
    ) -> list[Similarity]:
        """Compares images with all concepts of the bank; each image is encoded once.

        A map is the weighted sum of the cosines of all layers. Presence is the mean of the map over
        the 32 best cells, divided by the largest possible value (so it is a cosine) and clipped at
        0.

        Args:
            images: (H, W, 3) uint8 RGB each, of any sizes.
            bank: P results of `prompt_features` or `merge`.
            grids: (gh, gw) of the map of each image; maps are computed on `cells` x `cells` and
                resized to other grids by nearest neighbour.

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
            local = np.clip(on_grid / reach.cpu().numpy()[:, None, None], 0, 1)
            if self.standardise_map:
                on_grid = np.stack([standardise(each) for each in on_grid])
            found.append(Similarity(on_grid, presence.cpu().numpy(), local.astype(np.float32)))
        return found

    def _layers(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """`features`, with standardised channels if `standardise_channels` is set."""
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
            # Cosines before resizing: no work for copied cells, and ties stay exact.
            scores = cosine_similarity(layers[name].permute(1, 2, 0), embeddings[name])
            cells = source_cells(width, height, scores.shape[-1], self.cells)
            rows, columns = (torch.from_numpy(each).to(scores.device) for each in cells)
            # Not by indexing, which wakes all threads of a CPU even for a map as small as this.
            maps.append(weight * scores.index_select(1, rows).index_select(2, columns))
        return sum(maps[1:], maps[0])

    def _reach(self, embeddings: dict[str, Tensor]) -> Tensor:
        """(P,) the highest possible value of the map of each concept.

        The product of the lengths of the concatenated prompt and of a concatenated cell, whose
        parts are scaled by the square roots of their weights; the sum of the weights for unit
        vectors.
        """
        weights = self.layer_weights
        squares = [w * (embeddings[name] ** 2).sum(-1) for name, w in weights.items()]
        length = sum(squares[1:], squares[0]).sqrt()
        return (length * sum(weights.values()) ** 0.5).clamp(min=1e-12)


def _standardised(layer: Tensor, width: int, height: int) -> Tensor:
    """(c, n, n), each channel standardised over the cells of the image, without padding."""
    top, bottom, left, right = kept_band(width, height, layer.shape[-1])
    inside = layer[:, top:bottom, left:right]
    mean = inside.mean(dim=(1, 2), keepdim=True)
    deviation = inside.std(dim=(1, 2), keepdim=True, correction=0)
    return (layer - mean) / deviation.clamp(min=1e-6)
