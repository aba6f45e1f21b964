"""The regions of an image and their background weights, for all parts that build on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ipseg.networks.models import Models
from ipseg.networks.shared import PerImage, WithoutNetwork, shared
from ipseg.rows import Image
from ipseg.saliency.background import (
    Vector,
    background_weight,
    foreground_contrast,
)
from ipseg.vision.superpixels import Superpixels, superpixels, to_lab, work_image


@dataclass(frozen=True)
class Regions:
    """What the superpixels of one image say about background and object.

    Attributes:
        work: (h, w, 3) uint8, the resized image for all computations.
        pieces: its n superpixels.
        distance: (n, n) float64 Lab distances.
        background: (n,) evidence in [0, 1] from the image border.
        contrast: (n,) evidence in [0, 1] from contrast to the background.
    """

    work: Image
    pieces: Superpixels
    distance: npt.NDArray[np.float64]
    background: Vector
    contrast: Vector


@dataclass
class FindRegions(WithoutNetwork):
    """Robust background detection (Zhu et al., CVPR 2014), once for each image.

    Saliency and segmenter share one by `ipseg.networks.shared`.

    Attributes:
        long_side: longer side of the work image, pixels.
        count: number of superpixels.
    """

    long_side: int
    count: int

    def __post_init__(self) -> None:
        self._known: PerImage[Regions] = PerImage()

    def of(self, image: Image) -> Regions:
        """Those of a (H, W, 3) uint8 RGB image."""
        return self._known.get(image, self._find)

    def _find(self, image: Image) -> Regions:
        work = work_image(image, self.long_side)
        pieces = superpixels(to_lab(work), self.count)
        distance = cdist(pieces.colour, pieces.colour)
        background = background_weight(pieces, distance)
        contrast = foreground_contrast(pieces, distance, background)
        return Regions(work, pieces, distance, background, contrast)


class OnRegions(WithoutNetwork):
    """Base of parts that build on regions, which equal ones among them share.

    Attributes:
        long_side: longer side of the work image, pixels.
        regions: number of superpixels.
    """

    long_side: int
    regions: int

    def __post_init__(self) -> None:
        self._regions = FindRegions(self.long_side, self.regions)

    @property
    def inner(self) -> tuple[FindRegions]:
        """The regions, so that parts that share them run in one worker."""
        return (self._regions,)

    def setup(self, models: Models) -> None:
        """Shares its regions."""
        self._regions = shared(self._regions, models)
