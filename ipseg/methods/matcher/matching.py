"""Which cells of an image match those of an example, in both directions.

Source: Matcher (Liu et al., ICLR 2024), section 3.2; released code, `Matcher.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ipseg.features.similarity import unit
from ipseg.rows import Arrays, Map, Mask
from ipseg.vision.geometry import resize_map

_MANY = 40  # pairs, of which the better half is kept
TOKENS, INSIDE = "tokens", "inside"


def described(tokens: Tensor, inside: npt.NDArray[np.bool_]) -> Arrays:
    """What is kept of an example: all its cells, as the way back can lead to the background.

    Args:
        tokens: (n, c) raw.
        inside: (n,) the object's.
    """
    return {TOKENS: unit(tokens).cpu().numpy(), INSIDE: inside}


def cells_inside(mask: Mask, grid: tuple[int, int], least: float = 0.0) -> npt.NDArray[np.bool_]:
    """(rows * columns,) bool: the cells of which a mask takes more than a share.

    If it takes so much of none, those in which it has any pixel.

    Args:
        mask: (h, w) bool.
        grid: rows and columns of cells.
        least: share of a cell's pixels; 0 for any pixel.
    """
    share = resize_map(mask.astype(np.float32), grid, "area").flatten()
    inside = share > least
    return np.asarray(inside if inside.any() else share > 0)


def merged(shots: Sequence[Arrays]) -> Arrays:
    """What is kept of several examples: all their cells, one example after the other.

    If nothing is left of the objects of all of them at this resolution, the cell in the middle of
    each is taken instead, as released.
    """
    found = {name: np.concatenate([each[name] for each in shots]) for name in shots[0]}
    if found[INSIDE].any():
        return found
    middle = np.zeros_like(shots[0][INSIDE])
    middle[len(middle) // 2] = True
    return {**found, INSIDE: np.concatenate([middle] * len(shots))}


@dataclass(frozen=True)
class Matches:
    """What matches an example in an image.

    Attributes:
        forward: (2, k) int64: cells of the object in the examples, and the cells in the image that
            they are assigned to.
        backward: (k,) int64: cells of the examples that those of the image are assigned to.
        cells: (m,) int64, the cells in the image whose way back leads to the object, in reading
            order; the more similar half if there are many.
        costs: (r, n * n) float32: half of 1 minus the cosine of each cell of the object with each
            of the image.
    """

    forward: npt.NDArray[np.int64]
    backward: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    costs: Map


@torch.inference_mode()
def match(example: Arrays, tokens: Tensor) -> Matches:
    """Two assignments of cells that maximise the sum of cosines.

    Args:
        example: from `merged`.
        tokens: (n * n, c) unit vectors of the image, on any device.
    """
    reference = torch.from_numpy(example[TOKENS].copy()).to(tokens.device)
    cosines = (reference @ tokens.T).cpu().numpy()
    inside = example[INSIDE]
    object_cells = np.flatnonzero(inside)
    rows, targets = linear_sum_assignment(cosines[object_cells], maximize=True)
    _, back = linear_sum_assignment(cosines.T[targets], maximize=True)
    kept = np.flatnonzero(inside[back])
    if not len(kept):
        kept = np.arange(len(targets))
    sources = object_cells[rows]
    if len(kept) > _MANY:
        order = np.argsort(-cosines[sources[kept], targets[kept]], kind="stable")
        kept = kept[order[: len(kept) // 2]]
    return Matches(
        forward=np.stack([sources, targets]),
        backward=back,
        cells=np.sort(targets[kept]),
        costs=half_distances(cosines[object_cells]),
    )


def half_distances(cosines: Map) -> Map:
    """Half of 1 minus each cosine: what it costs to move a cell to another."""
    return np.asarray((1 - cosines) / 2, np.float32)
