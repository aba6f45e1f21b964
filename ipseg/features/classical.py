"""Dense colour and texture descriptors, for the same object or one with the same appearance.

They describe colours and patterns, not categories: a black cat is not similar to a white one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.ndimage import uniform_filter

from ipseg.features.similarity import Similarity, cosine_similarity, standardise, unit
from ipseg.networks.shared import LastBatch, WithoutNetwork
from ipseg.rows import Arrays, Image, Map
from ipseg.vision.geometry import resize_map
from ipseg.vision.superpixels import to_lab, work_image

Array = npt.NDArray[np.float32]

_CELL = 320 / 60  # pixels of a 320 px work image in a cell of a 60-cell grid
_LONG_CELLS = 60  # longer side of the grid for prompts; images use the requested grid
_ANCHOR_SIGMA = 18.0  # Lab units, width of a colour histogram bin
_TEXTURE_SCALES = (0.8, 1.6, 3.2, 6.4)  # pixels of the work image; bands lie between them
_GROUPS = (27, 15)  # colour histogram, texture; both groups have the same weight
_HISTOGRAM = slice(0, 27)
_BEST_CELLS = 32  # the number of cells that vote for positive points
_PRESENCE_POWER = 8
_WEIGHTS = np.repeat([1 / np.sqrt(n) for n in _GROUPS], _GROUPS)


@dataclass
class ClassicalDescriptors(WithoutNetwork):
    """A soft colour histogram and texture in each grid cell.

    The descriptors of prompt and image are standardised together (mean and deviation of each
    channel over both images), which removes what the two images have in common, then compared with
    the mean of the prompt object by cosine.

    Attributes:
        weight: of its map in the fused similarity map; 0 leaves it out.
        long_side: longer side of the work image, pixels.
    """

    weight: Annotated[float, Field(ge=0)] = 0.5
    long_side: Annotated[int, Field(ge=1)] = 320

    def __post_init__(self) -> None:
        self._last = LastBatch()

    def prompt_features(self, image: Image, mask: Map) -> Arrays:
        """Mean descriptor of the object, and the first two moments of the whole prompt image.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: (H, W) float in [0, 1] of the object.

        Returns:
            `object`, `mean` and `square`, each (42,) float32.
        """
        height, width = image.shape[:2]
        scale = _LONG_CELLS / max(height, width)
        grid = (max(1, round(height * scale)), max(1, round(width * scale)))
        cells = self._cells(image, grid)
        inside = _core(resize_map(mask, grid, "area"))
        weights = inside / inside.sum()
        return {
            "object": np.einsum("yx,yxd->d", weights, cells).astype(np.float32),
            "mean": cells.mean(axis=(0, 1), dtype=np.float64).astype(np.float32),
            "square": (cells.astype(np.float64) ** 2).mean(axis=(0, 1)).astype(np.float32),
        }

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """Averages the prompt images of a concept with equal weights."""
        return {name: np.mean([view[name] for view in views], axis=0) for name in views[0]}

    def compare(
        self, images: Sequence[Image], bank: Sequence[Arrays], grids: Sequence[tuple[int, int]]
    ) -> list[Similarity]:
        """Cosine with each prompt, as z-scores over the image; see `Similarity`.

        A constant map (of a blank image) becomes zero. Presence is at most 1/2, because different
        objects can have the same colours.
        """
        cells_of = self._last.get(
            images,
            lambda: [self._cells(i, grid) for i, grid in zip(images, grids, strict=True)],
            tuple(grids),
        )
        return [
            self._similarity(cells.astype(np.float64), bank, grid)
            for cells, grid in zip(cells_of, grids, strict=True)
        ]

    def _similarity(
        self,
        cells: npt.NDArray[np.float64],
        bank: Sequence[Arrays],
        grid: tuple[int, int],
    ) -> Similarity:
        mean = cells.mean(axis=(0, 1))
        square = (cells**2).mean(axis=(0, 1))
        maps = np.zeros((len(bank), *grid), dtype=np.float32)
        presence = np.zeros(len(bank), dtype=np.float32)
        around = _around(cells[..., _HISTOGRAM])
        local = np.zeros_like(maps)
        for index, entry in enumerate(bank):
            centre = (mean + entry["mean"]) / 2
            variance = (square + entry["square"]) / 2 - centre**2
            scale = _WEIGHTS / np.sqrt(np.maximum(variance, 1e-8))
            target = unit((entry["object"] - centre) * scale)
            cosine = cosine_similarity((cells - centre) * scale, target[None])[0]
            maps[index] = standardise(cosine)
            presence[index] = _colour_presence(cells, maps[index], entry["object"])
            local[index] = _same_colours(around, entry["object"][_HISTOGRAM])
        return Similarity(maps=maps, presence=presence, local=local)

    def _cells(self, image: Image, grid: tuple[int, int]) -> Array:
        return cell_descriptors(work_image(image, self.long_side), grid)


def cell_descriptors(work: Image, grid: tuple[int, int]) -> Array:
    """Raw descriptors of a work image: (gh, gw, 42) float32.

    In order: square roots of a 27-bin soft colour histogram; gradient energy, orientation
    coherence, cos and sin of twice the orientation and band-pass energy at three scales (15).
    """
    lab = to_lab(work)
    return np.concatenate(
        [np.sqrt(_colour_histogram(lab, grid)), _texture(lab[..., 0], grid)], axis=2
    )


def _core(mask: Map) -> Map:
    """Cells of the object without its outline, if enough are left; never all zero."""
    hard = (mask > 0.5).astype(np.uint8)
    eroded = cv2.erode(hard, np.ones((3, 3), np.uint8), borderValue=1)
    if eroded.sum() >= 16:
        return eroded.astype(np.float32)
    if hard.any():
        return hard.astype(np.float32)
    return mask if mask.max() > 0 else np.ones_like(mask)


def _colour_presence(
    cells: npt.NDArray[np.float64], scores: Array, wanted: npt.NDArray[np.floating]
) -> float:
    """Colour similarity of the best cells and the object in [0, 1/2]; 1/2 if equal.

    The Bhattacharyya coefficient of two histograms, raised to a power because it is high for most
    pairs of images.
    """
    best = np.argsort(-scores.ravel(), kind="stable")[:_BEST_CELLS]
    found = cells.reshape(-1, cells.shape[2])[best].mean(axis=0)[_HISTOGRAM]
    return float(_same_colours(found, wanted[_HISTOGRAM]))


def _same_colours(
    found: npt.NDArray[np.float64], wanted: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Evidence in [0, 1/2] of histograms (..., 27), square roots, against that of the object."""
    histogram = wanted.astype(np.float64)
    lengths = np.sqrt((found**2).sum(axis=-1) * (histogram**2).sum())
    products = (found * histogram).sum(axis=-1)
    return np.asarray(0.5 * (products / np.maximum(lengths, 1e-9)) ** _PRESENCE_POWER)


def _around(cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the cells at most one away: (gh, gw, c); single cells are noisy."""
    return np.asarray(uniform_filter(cells, size=(3, 3, 1), mode="nearest"))


def _blur(values: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))


def _pooled(values: Map, grid: tuple[int, int]) -> Map:
    return resize_map(_blur(values, _CELL), grid, "area")


def _colour_histogram(lab: Array, grid: tuple[int, int]) -> Array:
    """Share of each of 27 reference colours around a cell: (gh, gw, 27)."""
    levels = np.array([20.0, 50.0, 80.0], dtype=np.float32)
    tones = np.array([-30.0, 0.0, 30.0], dtype=np.float32)

    def votes(channel: Array, anchors: Array) -> list[Array]:
        return [np.exp(-((channel - a) ** 2) / np.float32(2 * _ANCHOR_SIGMA**2)) for a in anchors]

    # A 3-D Gaussian is a product of three 1-D ones: 9 exponentials instead of 27.
    light = votes(lab[..., 0], levels)
    green = votes(lab[..., 1], tones)
    blue = votes(lab[..., 2], tones)
    chroma = [a * b for a in green for b in blue]
    total = np.sum(light, axis=0) * np.sum(chroma, axis=0) + np.float32(1e-6)
    shares = [v / total for v in light]
    planes = [resize_map(s * c, grid, "area") for s in shares for c in chroma]
    return np.stack([_blur(plane, 1.0) for plane in planes], axis=2)


def _texture(light: Array, grid: tuple[int, int]) -> Array:
    """Gradient structure and band-pass energy at three scales: (gh, gw, 15)."""
    found = []
    blurred = [_blur(light, sigma) for sigma in _TEXTURE_SCALES]
    for smooth, smoother in pairwise(blurred):
        dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125)
        dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
        xx, yy, xy = (_pooled(v, grid) for v in (dx * dx, dy * dy, dx * dy))
        energy = xx + yy
        twice_cos, twice_sin = xx - yy, 2 * xy
        size = np.sqrt(twice_cos**2 + twice_sin**2)
        direction = np.maximum(size, np.float32(1e-6))
        band = (smooth - smoother) ** 2
        found += [
            np.log(energy + np.float32(0.05)),
            size / (energy + np.float32(0.05)),
            twice_cos / direction,
            twice_sin / direction,
            np.log(_pooled(band, grid) + np.float32(0.05)),
        ]
    return np.stack(found, axis=2)
