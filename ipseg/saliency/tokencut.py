"""Saliency from DINOv2 alone: a normalised cut of its patch features, without other weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy import ndimage
from torch import Tensor
from transformers import Dinov2Model, Dinov2WithRegistersModel

from ipseg.errors import ConfigError
from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network, normalisation
from ipseg.rows import Image, Map
from ipseg.saliency.foreground import clean, grabcut, overlap
from ipseg.saliency.normalised_cut import bipartition, main_part
from ipseg.saliency.weak import never_empty
from ipseg.vision.geometry import resize_map
from ipseg.vision.superpixels import work_image

_CLASSES = {"dinov2": Dinov2Model, "dinov2_with_registers": Dinov2WithRegistersModel}
# Vision transformers store global information in a few patches, with a norm many times the usual
# one (Darcet et al., "Vision Transformers Need Registers", ICLR 2024). These are similar to each
# other wherever they are, often in corners, so that a cut would select them as the object.
_ARTIFACT_NORM = 3.0  # times the median
_OUTLINE_SIDE = 320  # pixels of the work image on which the outline is refined


@dataclass
class TokenCut:
    """The side of a normalised cut with the most distinct patch (Wang et al., CVPR 2022).

    Attributes:
        weights: any Dinov2Model, with or without registers: hub id, folder, or .safetensors file
            next to its config.json. Patch size, position grid, mean and deviation are from there.
        size: longer side of the resized image in pixels, rounded down to whole patches; the aspect
            ratio is kept. Time grows with its sixth power, memory with the fourth.
        facet: features to compare: keys of the last block (as in the paper), or the tokens after
            the final norm.
        tau: cosine in [-1, 1] above which two patches are similar. 0.2 in the paper, for DINO;
            raise it if the object includes its surroundings.
        iterations: GrabCut iterations that refine the outline of the isolated object; 0 keeps the
            outline of the patches.
        gpu_memory_gb: GPU memory in GB: weights of ViT-S (0.09), activations of one image, CUDA.
    """

    weights: str = "facebook/dinov2-small"
    size: Annotated[int, Field(ge=1)] = 448
    facet: Literal["keys", "tokens"] = "keys"
    tau: Annotated[float, Field(ge=-1, lt=1)] = 0.3
    iterations: Annotated[int, Field(ge=0)] = 1
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 0.8

    def __post_init__(self) -> None:
        self._models = Models()
        self._network: Network = None
        self._normalisation: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the weights are missing, damaged or of another architecture.
            ConfigError: `size` is less than one patch.
        """
        location = models.locate(self.weights)
        network = load_network(location, _CLASSES, ignored=("classifier.",))
        if self.size < network.config.patch_size:
            raise ConfigError(
                f"saliency.size is {self.size} pixels, less than one patch of "
                f"{network.config.patch_size}"
            )
        self._models = models
        self._normalisation = normalisation(location)
        self._network = network.to(models.torch_device())

    def predict(self, image: Image) -> Map:
        """Soft saliency of a (H, W, 3) uint8 image: (H, W) float32 in [0, 1], 0.5 at the cut.

        All 0 if nothing can be cut: a uniform image.
        """
        return _resized(bipartition(self.features(image), self.tau), image)

    def isolate(self, image: Image) -> Map:
        """The connected object around the most distinct patch: (H, W) float32, 0 or 1; never empty.

        If GrabCut diverges from the cut (overlap below 0.35), the cut is used. In a uniform image
        everything is returned with the lowest valid level (`ipseg.saliency.weak`), so that the
        prompt gets a warning.
        """
        side = main_part(bipartition(self.features(image), self.tau))
        if side.max() <= 0.5:
            return never_empty(_resized(side, image))
        work = work_image(image, _OUTLINE_SIDE)
        soft = _resized(side, work)
        mask = clean(soft > 0.5)
        if self.iterations > 0:
            fitted = clean(grabcut(work, soft, iterations=self.iterations))
            mask = fitted if overlap(fitted, mask) >= 0.35 else mask
        full = _resized(mask, image) >= 0.5
        # In an image with fewer pixels than patches, a small object can disappear.
        return full.astype(np.float32) if full.any() else never_empty(_resized(side, image))

    def features(self, image: Image) -> npt.NDArray[np.float32]:
        """Features of the patches of a (H, W, 3) uint8 image: (h, w, c) float32.

        Patches in which the network stores global information get the features of the nearest
        other patch.
        """
        if self._network is None:
            raise RuntimeError("call TokenCut.setup() first")
        pixels = self._to_input(image)
        patch = int(self._network.config.patch_size)
        grid = (pixels.shape[2] // patch, pixels.shape[3] // patch)
        with torch.inference_mode(), self._models.autocast():
            raw, normed, keys = _last_block(self._network, pixels)
        chosen = keys if self.facet == "keys" else normed
        count = grid[0] * grid[1]  # patches come last, after CLS and registers
        features = chosen[0, -count:].float().cpu().numpy().reshape(*grid, -1)
        norms = raw[0, -count:].float().norm(dim=1).cpu().numpy().reshape(grid)
        return _without_artifacts(features, norms)

    def _to_input(self, image: Image) -> Tensor:
        patch = int(self._network.config.patch_size)
        height, width = image.shape[:2]
        cells = self.size // patch
        rows, columns = (max(1, round(cells * s / max(height, width))) for s in (height, width))
        shrinks = rows * patch < height
        small = cv2.resize(
            image,
            (columns * patch, rows * patch),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
        )
        pixels = to_pixels([np.asarray(small, np.uint8)], self._models.torch_device())
        return normalised(pixels, *self._normalisation)


def _last_block(network: Network, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(1, t, c) each: output of the last block, the same after the final norm, its keys."""
    found = network(pixels, output_hidden_states=True)
    block = network.encoder.layer[-1]
    before, raw = found.hidden_states[-2:]
    return raw, found.last_hidden_state, block.attention.k_proj(block.norm1(before))


def _without_artifacts(features: npt.NDArray[np.float32], norms: Map) -> npt.NDArray[np.float32]:
    """(h, w, c) features; patches with an extreme norm get those of the nearest other patch."""
    artifact = norms > _ARTIFACT_NORM * np.median(norms)
    rows, columns = ndimage.distance_transform_edt(
        artifact, return_distances=False, return_indices=True
    )
    return features[rows, columns]


def _resized(values: npt.NDArray[np.generic], image: Image) -> Map:
    shape = (image.shape[0], image.shape[1])
    return np.clip(resize_map(values.astype(np.float32), shape, "area"), 0, 1)
