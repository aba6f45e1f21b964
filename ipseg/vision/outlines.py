"""Outlines of masks: along the edges of pixels, for formats whose coordinates are continuous.

Coordinates are those of the corners of pixels: the pixel in column x and row y covers x to x + 1
and y to y + 1. The outline of one pixel is a square of four corners, and a polygon that is filled
in the continuous plane gives the mask back exactly. Contours through the centres of pixels, which
OpenCV finds, are half a pixel too small for that (`ipseg.vision.centre_outlines` has these).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ipseg.rows import Mask

Ring = npt.NDArray[np.int64]  # (n, 2) x, y: corners of a closed line, the first not repeated


@dataclass(frozen=True)
class Part:
    """One part of a mask: pixels that touch each other by a side.

    Attributes:
        outer: its outline, clockwise as seen on a screen.
        holes: outlines of what is missing inside, counterclockwise.
    """

    outer: Ring
    holes: tuple[Ring, ...]


def parts_of(mask: Mask) -> list[Part]:
    """The parts of an (H, W) bool mask, from top to bottom; none if it is empty.

    Pixels that touch by a corner alone are in different parts.
    """
    rings = edge_rings(mask)
    if not rings:
        return []
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    outer: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in rings:
        label = int(labels[_pixel_inside(ring)])
        if signed_area(ring) > 0:
            outer[label] = ring
        else:
            holes.setdefault(label, []).append(ring)
    return [Part(ring, tuple(holes.get(label, ()))) for label, ring in outer.items()]


def edge_rings(mask: Mask) -> list[Ring]:
    """Closed lines between an (H, W) bool mask and its surroundings, with the mask on the right.

    Outer lines run clockwise on a screen and have a positive area, those of holes a negative one.
    Every vertex is a turn: none lies between two others on a straight line. Rings are ordered by
    their topmost corner, and begin there.
    """
    padded = np.pad(mask, 1)
    nw, ne = padded[:-1, :-1], padded[:-1, 1:]
    sw, se = padded[1:, :-1], padded[1:, 1:]
    # A line turns where an odd number of the four pixels around a corner are in the mask. Where
    # two opposite ones are, two lines turn, each around its own pixel.
    odd = nw ^ ne ^ sw ^ se
    falling, rising = nw & se & ~ne & ~sw, ne & sw & ~nw & ~se
    once, twice = np.argwhere(odd), np.argwhere(falling | rising)
    if not len(once) + len(twice):
        return []
    y, x = np.concatenate([once, twice, twice]).T
    # At a corner with two turns, the first is that of the line that comes from the left. It goes
    # on upwards around the pixel above on the left, else downwards.
    second = np.repeat([0, 0, 1], [len(once), len(twice), len(twice)])
    upwards = falling[twice[:, 0], twice[:, 1]]
    below = np.concatenate([np.zeros(len(once), np.int64), ~upwards, upwards])
    # Along each row of corners, the first is joined to the second, the third to the fourth ...
    sideways = _partners(np.lexsort([second, x, y]))
    up_or_down = _partners(np.lexsort([below, y, x]))
    return _followed(x, y, sideways, up_or_down, padded)


def _partners(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    partners = np.empty_like(order)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners


def _followed(
    x: npt.NDArray[np.int64],
    y: npt.NDArray[np.int64],
    sideways: npt.NDArray[np.int64],
    up_or_down: npt.NDArray[np.int64],
    padded: Mask,
) -> list[Ring]:
    """The rings: from each corner in turn to its partner in the row, then to that in the column."""
    # To the right the line has the mask below it, to the left above it.
    left_end = np.minimum(x, x[sideways])
    starts = (x == left_end) == padded[y + 1, left_end + 1]
    across, along = sideways.tolist(), up_or_down.tolist()
    visited = np.zeros(len(x), bool)
    rings: list[Ring] = []
    for first in np.lexsort([x, y]).tolist():
        if visited[first] or not starts[first]:
            continue
        ring, corner = [], first
        while not visited[corner]:
            other = across[corner]
            visited[corner] = visited[other] = True
            ring += [corner, other]
            corner = along[other]
        rings.append(np.stack([x[ring], y[ring]], axis=1).astype(np.int64))
    return rings


def _pixel_inside(ring: Ring) -> tuple[int, int]:
    """(row, column) of a pixel of the mask along a ring, whose first edge is horizontal."""
    (x0, y), (x1, _) = ring[:2].tolist()
    return (y, x0) if x1 > x0 else (y - 1, x1)


def signed_area(ring: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> float:
    """Area within an (n, 2) ring in pixels, negative where it runs counterclockwise on a screen."""
    x, y = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2


def bridged(ring: Ring, others: tuple[Ring, ...] | list[Ring]) -> Ring:
    """One ring from several: each is joined to what is there by a double line at nearest corners.

    Holes, which run the other way round, stay empty; parts stay filled. The double line has no area
    of its own.

    Args:
        ring: (n, 2), the outline.
        others: (m, 2) each, the ones to join.
    """
    for other in others:
        distances, nearest = KDTree(ring).query(other)
        there = int(np.argmin(distances))
        here = int(np.atleast_1d(nearest)[there])
        around = np.roll(other, -there, axis=0)
        ring = np.concatenate([ring[: here + 1], around, around[:1], ring[here:]])
    return ring


def simplified(ring: Ring, tolerance: float) -> Ring:
    """The ring with fewer corners (Douglas-Peucker), never more than `tolerance` pixels away.

    One that would be left with fewer than three corners stays as it is, and with 0 any does.
    """
    if tolerance <= 0:
        return ring
    kept = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0]
    return kept.astype(np.int64) if len(kept) >= 3 else ring
