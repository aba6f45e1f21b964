"""Saliency without learned weights: contrast to the background, and closeness to the centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.rows import Image, Map
from ipseg.saliency.background import centre_prior, diffuse, linked_at_border, unit_range
from ipseg.saliency.foreground import clean, grabcut, otsu, overlap, solidity
from ipseg.saliency.regions import OnRegions, Regions
from ipseg.vision.geometry import resize_map
from ipseg.vision.superpixels import Superpixels

_COLOUR_SIGMA = 7.0  # Lab units: colour distance over which saliency spreads to neighbours
_BACKGROUND_TRUST = 5.0  # relative to 1 for contrast; the paper's value
_SMALLEST_LINK = 0.1
_OTSU_SHARE = 0.7  # of Otsu's threshold, which alone keeps only the core of the object
_BLUR = 3.0  # pixels of the work image; smooths the outlines of superpixels


@dataclass
class ClassicalSaliency(OnRegions):
    """Robust background detection (Zhu et al., CVPR 2014) on superpixels.

    Attributes:
        long_side: longer side of the work image, pixels.
        regions: number of superpixels.
        centre_sigma: width of the Gaussian centre prior, in image sides; large values disable it.
        iterations: GrabCut iterations for isolating the prompt object.
    """

    long_side: Annotated[int, Field(ge=1)] = 320
    regions: Annotated[int, Field(ge=2)] = 250
    centre_sigma: Annotated[float, Field(gt=0)] = 0.35
    iterations: Annotated[int, Field(ge=0)] = 1

    def predict(self, image: Image) -> Map:
        """Soft saliency of a (H, W, 3) uint8 image: (H, W) float32 in [0, 1].

        If nothing differs from the background, it is the centre prior.
        """
        small = self._soft(self._regions.of(image))
        return np.clip(resize_map(small, (image.shape[0], image.shape[1]), "area"), 0, 1)

    def isolate(self, image: Image) -> Map:
        """The object of a prompt image: (H, W) float32, 0 or 1, never empty.

        The soft map is thresholded slightly below Otsu's threshold, and its outline is refined by
        GrabCut. If GrabCut diverges from the map (overlap below 0.35), the thresholded map is used.
        If only scattered fragments are salient (they fill less than 0.4 of their convex hull), they
        are assumed to be details of an object that fills the frame, and GrabCut starts from an
        ellipse.
        """
        regions = self._regions.of(image)
        work, soft = regions.work, self._soft(regions)
        threshold = _OTSU_SHARE * otsu(soft)
        coarse = clean(soft > threshold)
        fine = clean(grabcut(work, soft, threshold=threshold, iterations=self.iterations))
        mask = fine if overlap(fine, coarse) >= 0.35 else coarse
        if solidity(mask) < 0.4:
            whole = clean(grabcut(work, _ellipse(mask.shape), iterations=self.iterations))
            if 0.1 < whole.mean() < 0.9:
                mask = whole
        share = resize_map(mask.astype(np.float32), (image.shape[0], image.shape[1]), "area")
        # In tiny images the object can cover less than half of every pixel.
        return (share >= min(0.5, float(share.max()))).astype(np.float32)

    def _soft(self, regions: Regions) -> Map:
        pieces = regions.pieces
        prior = centre_prior(pieces, self.centre_sigma)
        contrast = regions.contrast * prior
        if contrast.max() <= 0:
            values = prior
        else:
            trust = _BACKGROUND_TRUST * regions.background + contrast
            target = contrast / np.maximum(trust, 1e-12)
            values = diffuse(_similar_neighbours(pieces, regions.distance), target, trust)
        smooth = cv2.GaussianBlur(pieces.paint(values), (0, 0), _BLUR)
        return unit_range(np.asarray(smooth, dtype=np.float32)).astype(np.float32)


def _ellipse(shape: tuple[int, int]) -> Map:
    """Object probability 0.7 in an ellipse that covers 55 % of the frame, 0.3 around it."""
    height, width = shape
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    inside = x[None, :] ** 2 + y[:, None] ** 2 < 0.42**2
    return np.where(inside, 0.7, 0.3).astype(np.float32)


def _similar_neighbours(
    pieces: Superpixels, distance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(n, n) links between superpixels up to two steps apart, and between all at the border."""
    touching = pieces.touching.astype(np.float32)  # NumPy multiplies no Booleans by BLAS
    near = linked_at_border(pieces, touching + touching @ touching > 0)
    links = np.exp(-(distance**2) / (2 * _COLOUR_SIGMA**2)) + _SMALLEST_LINK
    return np.where(near, links, 0.0)
