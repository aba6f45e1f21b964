"""Outlines along the edges of an image: a dense CRF in a band around those of a mask.

Source: INSID3, facts about its released code, which has "Regularized Frank-Wolfe for Dense CRFs"
(Lê-Huu and Alahari, NeurIPS 2021) do this on a GPU.
"""

from __future__ import annotations

import cv2
import numpy as np

from ipseg.rows import Image, Mask
from ipseg.vision.lattice import GaussianLattice, Values

_USUAL = 512  # side to which the deviations below belong, pixels
_PLACE, _SMOOTH = 12.0, 4.0  # pixels, with and without colour
_COLOUR = 0.03  # of channels in [0, 1]
_WEIGHTS = 3.0, 20.0  # without and with colour
_SURE = 0.95  # probability of the mask off the band
_RADIUS = 5  # pixels
_ROUNDS = 10


class EdgeOutlines:
    """Moves the outlines of masks of one image to its edges."""

    def __init__(self, image: Image) -> None:
        """Takes the image as the network sees it, (s, s, 3) uint8 RGB."""
        scale = len(image) / _USUAL
        places = np.indices(image.shape[:2]).reshape(2, -1).T
        colours = image.reshape(-1, 3) / 255 / _COLOUR
        self._alike = GaussianLattice(np.hstack([places / (_PLACE * scale), colours]))
        self._deviation = _SMOOTH * scale
        self._shape = image.shape[:2]
        self._near = self._blurred(np.ones(self._shape))

    def _blurred(self, values: Values) -> Values:
        border = cv2.BORDER_CONSTANT  # nothing lies beyond the image
        return np.asarray(cv2.GaussianBlur(values, (0, 0), self._deviation, borderType=border))

    def refine(self, mask: Mask) -> Mask:
        """A mask (s, s) with another outline, within 5 pixels of its own.

        With two labels the solver, a step of length 1 with a quadratic regulariser, comes down to
        one number for each pixel: the probability of the mask minus that of the rest.
        """
        size = 2 * _RADIUS + 1
        y, x = np.mgrid[:size, :size] - _RADIUS
        disk = (y**2 + x**2 <= _RADIUS**2).astype(np.uint8)
        drawn = mask.astype(np.uint8)
        outside = cv2.dilate(drawn, disk, borderValue=0) == 0
        inside = cv2.erode(drawn, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        band = ~(inside | outside)
        certain = np.log(_SURE / (1 - _SURE)) * (inside.astype(np.float64) - outside)
        balance = np.tanh(certain)
        for _ in range(_ROUNDS):
            alike = self._alike.means(balance.ravel()).reshape(self._shape)
            near = self._blurred(balance) / self._near
            balance = np.clip(2 * certain + _WEIGHTS[0] * near + _WEIGHTS[1] * alike, -1, 1)
        return np.asarray(np.where(band, balance > 0, mask))
