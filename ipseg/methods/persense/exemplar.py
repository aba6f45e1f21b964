"""Where the first exemplar is looked for.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ipseg.rows import Map

InitialPoint = Literal["released", "paper"]


def centre(box: Sequence[Any]) -> tuple[int, int]:
    """The middle of a box x, y, x, y, its corners cut to whole pixels first."""
    x0, y0, x1, y1 = (int(each) for each in box)
    return (x0 + x1) // 2, (y0 + y1) // 2


def most_similar(similarity: Map, box: Sequence[Any] | None = None) -> tuple[int, int]:
    """The pixel x, y with the highest similarity, in a box or anywhere; the first of equal ones.

    Args:
        similarity: (H, W) over the image.
        box: x, y, x, y; what of it lies in the image counts, at least one pixel.
    """
    height, width = similarity.shape
    x0, y0, x1, y1 = (0, 0, width - 1, height - 1) if box is None else (int(each) for each in box)
    x0, x1 = (min(max(each, 0), width - 1) for each in (x0, x1))
    y0, y1 = (min(max(each, 0), height - 1) for each in (y0, y1))
    part = similarity[y0 : y1 + 1, x0 : x1 + 1]
    y, x = np.unravel_index(int(part.argmax()), part.shape)
    return x0 + int(x), y0 + int(y)


def initial_point(similarity: Map, box: Sequence[Any] | None, how: InitialPoint) -> tuple[int, int]:
    """The point that the first exemplar is grown from.

    Args:
        similarity: (H, W) over the image.
        box: where the name of the concept is found best; None where nothing was asked for boxes.
        how: `released` takes the middle of the box, `paper` its most similar pixel.
    """
    height, width = similarity.shape
    if box is not None and how == "released":
        x, y = centre(box)
        return min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    return most_similar(similarity, box)
