"""Work images and superpixels, on which the components without weights compute.

The classical saliency, descriptors and segmenter use a resized copy of the image (the work image)
and a few hundred superpixels instead of pixels, which takes a fraction of a second per image on one
core.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import slic

from ipseg.rows import Image, Map

_SLIC_ITERATIONS = 5
# Thumbnails are enlarged only so far; more takes longer, but segments them no better.
_MOST_ENLARGED = 3.0
_ENOUGH = 192  # pixels of the longer side
_SMOOTHING = 320  # part of the longer side that is the Gaussian sigma before the partition
_COMPACTNESS = 10.0  # weight of distance relative to colour
_JOINED = 1.04  # initial superpixels of SLIC for each that remains in a photo
_MIN_AREA_SHARE = 0.25  # of the average; smaller superpixels are merged with a neighbour


def work_image(image: Image, long_side: int, *, enough: float = _ENOUGH) -> Image:
    """Resizes an image for computations, keeping the aspect ratio.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        long_side: length of the longer side, pixels. Small images are enlarged, so that a
            thumbnail has as many superpixels as a photo, but those of less than a third of it
            only to three times their size, or to `enough` if that is more.
        enough: length to which a thumbnail's longer side is enlarged, pixels.

    Returns:
        (h, w, 3) or (h, w) uint8; neither side is shorter than one pixel.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    scale = min(long_side / longest, max(_MOST_ENLARGED, enough / longest))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), dtype=np.uint8)


def to_lab(image: Image) -> npt.NDArray[np.float32]:
    """CIE Lab of an RGB image: (h, w, 3) float32 with L in [0, 100] and a, b about [-100, 100]."""
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return np.asarray(lab, dtype=np.float32)


@dataclass(frozen=True)
class Superpixels:
    """A partition of a work image into n connected regions of similar colour.

    Attributes:
        labels: (h, w) int32 in [0, n).
        colour: (n, 3) float64, mean Lab.
        centre: (n, 2) float64, mean x, y; the image spans [0, 1] on both axes.
        area: (n,) float64, pixels.
        border: (n,) float64, pixels on the image border.
        touching: (n, n) bool, which of them share an outline; symmetric, no superpixel with itself.
    """

    labels: npt.NDArray[np.int32]
    colour: npt.NDArray[np.float64]
    centre: npt.NDArray[np.float64]
    area: npt.NDArray[np.float64]
    border: npt.NDArray[np.float64]
    touching: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of superpixels."""
        return len(self.area)

    def mean(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Mean of a (h, w) pixel map in each superpixel: (n,) float64."""
        return np.bincount(self.labels.ravel(), values.ravel()) / self.area

    def paint(self, values: npt.NDArray[np.floating]) -> Map:
        """Gives every pixel the value of its superpixel: (n,) -> (h, w) float32."""
        return np.asarray(values, dtype=np.float32)[self.labels]


def superpixels(lab: npt.NDArray[np.float32], count: int = 250) -> Superpixels:
    """Partitions an image into superpixels (SLIC, Achanta et al., PAMI 2012).

    By scikit-image, because OpenCV has it only in its contrib builds, which are overwritten by any
    package that depends on another build.

    Args:
        lab: (h, w, 3) float32 Lab image.
        count: approximate number of superpixels, >= 1. Very small images have fewer.

    Returns:
        The superpixels; labels are consecutive and none is empty.
    """
    smooth = cv2.GaussianBlur(lab, (0, 0), max(lab.shape[:2]) / _SMOOTHING)
    # scikit-image scales its input to [0, 1], but the compactness is in units of Lab.
    spread = float(np.ptp(smooth)) or 1.0
    labels = slic(
        smooth,
        n_segments=round(_JOINED * count),
        compactness=_COMPACTNESS / spread,
        max_num_iter=_SLIC_ITERATIONS,
        convert2lab=False,
        min_size_factor=_MIN_AREA_SHARE,
        max_size_factor=2 * count,  # of the average: large superpixels are not split
        start_label=0,
    )
    return _measure(labels.astype(np.int32), lab)


def _measure(labels: npt.NDArray[np.int32], lab: npt.NDArray[np.float32]) -> Superpixels:
    height, width = labels.shape
    flat = labels.ravel()
    area = np.bincount(flat).astype(np.float64)
    x = np.tile((np.arange(width) + 0.5) / width, height)
    y = np.repeat((np.arange(height) + 0.5) / height, width)
    colour = np.stack([np.bincount(flat, lab[..., c].ravel()) for c in range(3)], axis=1)
    centre = np.stack([np.bincount(flat, x), np.bincount(flat, y)], axis=1)
    on_border = np.zeros(labels.shape, dtype=bool)
    on_border[[0, -1], :] = True
    on_border[:, [0, -1]] = True
    touching = np.zeros((len(area), len(area)), dtype=bool)
    touching[labels[:, :-1], labels[:, 1:]] = True
    touching[labels[:-1], labels[1:]] = True
    touching |= touching.T
    np.fill_diagonal(touching, False)
    return Superpixels(
        labels=labels,
        colour=colour / area[:, None],
        centre=centre / area[:, None],
        area=area,
        border=np.bincount(flat, on_border.ravel()).astype(np.float64),
        touching=touching,
    )
