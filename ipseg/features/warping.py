"""Coarse planes of a prompt image, laid over the grid of an image as a placement says."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.features.placement import Vector

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Warp:
    """Where the prompt lies in an image.

    Attributes:
        matrix: (2, 3) float64, maps x, y of the prompt's work image to x, y of the image's.
        mirrored: whether the prompt is mirrored before.
        extent: width and height of the prompt's work image, pixels.
        shape: height and width of the image's.
    """

    matrix: Vector
    mirrored: bool
    extent: tuple[float, float]
    shape: tuple[int, int]

    def __call__(self, plane: Plane, grid: tuple[int, int], *, extend: bool = False) -> Plane:
        """A plane over the whole prompt, warped to the grid of the image.

        Args:
            plane: (h, w) or (h, w, c) float32.
            grid: height and width of the result.
            extend: beyond the prompt repeat the values at its border; else 0.
        """
        if self.mirrored:
            plane = np.ascontiguousarray(plane[:, ::-1])
        rows, columns = plane.shape[:2]
        width, height = self.extent
        to_prompt = _scaling(width / columns, height / rows)
        to_grid = np.linalg.inv(_scaling(self.shape[1] / grid[1], self.shape[0] / grid[0]))
        motion = np.vstack([self.matrix, [0, 0, 1]])
        whole = (to_grid @ motion @ to_prompt)[:2]
        border = cv2.BORDER_REPLICATE if extend else cv2.BORDER_CONSTANT
        return np.asarray(
            cv2.warpAffine(plane, whole, grid[::-1], flags=cv2.INTER_LINEAR, borderMode=border),
            np.float32,
        )


def _scaling(x: float, y: float) -> Vector:
    """Transforms indices of a coarse grid to pixel indices, aligning the corners of cells."""
    return np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])
