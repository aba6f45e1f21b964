"""Values of a label map that cannot be right."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_LEAST_SIDE = 32  # of a label map; in smaller ones objects may have no inside
_EDGES_AT_LEAST = 3  # values without an inside, before a label map counts as smoothed


def smoothed_values(labels: npt.NDArray[Any], unused: tuple[int, ...] = (0,)) -> str | None:
    """What looks wrong with the values of a label map; None if they may be right.

    Resizing with interpolation, and JPEG, leave values along outlines that are no labels. They have
    no inside: nowhere a pixel whose eight neighbours have the same value.

    Args:
        labels: (H, W) integers.
        unused: values that are no label: background, void.
    """
    values = [int(value) for value in np.unique(labels) if value not in unused]
    if len(values) < _EDGES_AT_LEAST or min(labels.shape) < _LEAST_SIDE:
        return None
    plane = labels.astype(np.float32)  # of labels beyond 2^24 neighbours may look equal
    kernel = np.ones((3, 3), np.uint8)
    flat = cv2.erode(plane, kernel) == cv2.dilate(plane, kernel)
    solid = {int(value) for value in np.unique(labels[flat])}
    edges = [value for value in values if value not in solid]
    if len(edges) < _EDGES_AT_LEAST or len(edges) <= len(values) - len(edges):
        return None
    some = ", ".join(map(str, edges[:5]))
    return (
        f"{len(edges)} of its {len(values)} values ({some} ...) occur along outlines only, as "
        f"after resizing with interpolation or JPEG; they are no labels: take the original file"
    )
