"""Similarity and affine transforms of a flat pattern, estimated from matched local frames.

A local frame is a keypoint with a scale and a direction, so that a single match defines a
similarity transform (Lowe, IJCV 2004, section 7). All matches are tried, so there is no random
sampling and no seed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_SCALE_RANGE = 2.0  # factor by which the scale of an inlier may differ
_ANGLE_RANGE = 30.0  # degrees by which its direction may differ
_LOOSE = 0.15  # of the object diameter, for one frame, whose direction is accurate to some degrees
_TIGHT = 0.05  # of the object diameter, for a fit to several frames
_ROUNDS = 3
_AFFINE_FROM = 6  # matches; three define an affine map, fewer than six overfit
_MOST_STRETCH = 2.5  # largest accepted ratio of the two singular values


@dataclass(frozen=True)
class Placement:
    """One found instance.

    Attributes:
        matrix: (2, 3) float64, maps prompt x, y to image x, y.
        inliers: indices of the matches that agree.
        support: number of inliers, counting each prompt point and each image point once.
    """

    matrix: Vector
    inliers: npt.NDArray[np.int64]
    support: int


def place(source: Vector, target: Vector, diameter: float) -> Placement | None:
    """Finds the transform with most inliers.

    Args:
        source: (m, 4) frames in the prompt: x, y, scale, direction in degrees.
        target: (m, 4) their matches in the image.
        diameter: size of the object in the prompt, pixels; tolerances are relative to it.

    Returns:
        The placement; None if fewer than three matches agree or the transform is implausible.
    """
    if len(source) < 3:
        return None
    scale = target[:, 2] / source[:, 2]
    turn = np.deg2rad(target[:, 3] - source[:, 3])
    linear = _similarity(scale, turn)
    shift = target[:, :2] - np.einsum("mij,mj->mi", linear, source[:, :2])
    landed = np.einsum("mij,nj->mni", linear, source[:, :2]) + shift[:, None, :]
    error = np.sqrt(((landed - target[None, :, :2]) ** 2).sum(axis=2))
    agree = error < _LOOSE * diameter * scale[:, None]
    agree &= _consistent(scale[:, None], turn[:, None], scale, turn)
    best = int(np.argmax((agree * _rarity(source)).sum(axis=1)))
    inliers = agree[best]
    matrix = np.concatenate([linear[best], shift[best][:, None]], axis=1)
    for _ in range(_ROUNDS):
        support = _distinct(source, target, inliers)
        if support < 3:
            return None
        matrix = _fit(source[inliers, :2], target[inliers, :2], affine=support >= _AFFINE_FROM)
        size, angle, stretch = _parts(matrix)
        if stretch > _MOST_STRETCH or size <= 0:
            return None
        off = source[:, :2] @ matrix[:, :2].T + matrix[:, 2] - target[:, :2]
        near = np.sqrt((off**2).sum(axis=1)) < _TIGHT * diameter * size
        inliers = near & _consistent(np.array(size), np.array(angle), scale, turn)
    support = _distinct(source, target, inliers)
    if support < 3:
        return None
    return Placement(matrix=matrix, inliers=np.flatnonzero(inliers), support=support)


def _similarity(scale: Vector, turn: Vector) -> Vector:
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def _consistent(
    scale: Vector, turn: Vector, scales: Vector, turns: Vector
) -> npt.NDArray[np.bool_]:
    ratio = np.abs(np.log(scales / scale))
    angle = np.abs((turns - turn + np.pi) % (2 * np.pi) - np.pi)
    return np.asarray((ratio < np.log(_SCALE_RANGE)) & (angle < np.deg2rad(_ANGLE_RANGE)))


def _rarity(frames: Vector) -> Vector:
    """One over the number of frames at the same point: (m,)."""
    points = _points(frames)
    count = Counter(points)
    return 1 / np.array([count[point] for point in points])


def _distinct(source: Vector, target: Vector, chosen: npt.NDArray[np.bool_]) -> int:
    """Number of different keypoints: one with two directions, or matched twice, counts once."""
    return min(len(set(_points(frames[chosen]))) for frames in (source, target))


def _points(frames: Vector) -> list[tuple[float, ...]]:
    """Whole pixels, as tuples: NumPy takes longer to compare a few rows."""
    return [tuple(point) for point in np.round(frames[:, :2]).tolist()]


def _fit(source: Vector, target: Vector, *, affine: bool) -> Vector:
    """Least-squares transform of (m, 2) points: (2, 3)."""
    x, y = source[:, 0], source[:, 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    if affine:
        plan = np.stack([x, y, one], axis=1)
        return np.asarray(np.linalg.lstsq(plan, target, rcond=None)[0].T)
    plan = np.concatenate(
        [np.stack([x, -y, one, zero], axis=1), np.stack([y, x, zero, one], axis=1)]
    )
    a, b, right, down = np.linalg.lstsq(plan, target.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def _parts(matrix: Vector) -> tuple[float, float, float]:
    """Scale, rotation (radians) and stretch of a (2, 3) transform; scale is 0 if it mirrors."""
    linear = matrix[:, :2]
    determinant = float(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])
    singular = np.linalg.svd(linear, compute_uv=False)
    angle = float(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    size = float(np.sqrt(max(determinant, 0.0)))
    return size, angle, float(singular[0] / max(singular[1], 1e-9))
