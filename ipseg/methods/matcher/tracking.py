"""Where objects are in the next frame of a video, from the frames in which they are known.

Source: Matcher (Liu et al., ICLR 2024), branch `vos-dev` of the released code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ipseg.methods.matcher.matching import half_distances
from ipseg.methods.matcher.settings import Tracking
from ipseg.rows import Map

Cells = npt.NDArray[np.int64]
_LEAST_PAIRS, _KEPT_PAIRS = 10, 0.8
_FAR = 1.8  # times the next: a centre is an outlier


@dataclass(frozen=True)
class Reference:
    """A frame, or an example, in which objects are known.

    Attributes:
        tokens: (n, c) unit vectors.
        inside: object -> (n,) bool, its cells; those without any are left out.
        number: of the frame; 0 of an example.
        score: what was found in it is worth; 1 of an example.
        given: whether it is an example.
    """

    tokens: Tensor
    inside: Mapping[str, npt.NDArray[np.bool_]]
    number: int = 0
    score: float = 1.0
    given: bool = False


@dataclass(frozen=True)
class Assigned:
    """What one reference says of an object in a frame.

    Attributes:
        cells: of the frame that match it.
        costs: (r, n) float32 half of 1 minus the cosine of each of its cells with the frame's.
    """

    cells: Cells
    costs: Map


def assigned(
    reference: Reference, frame: Tensor, grid: tuple[int, int], now: int, settings: Tracking
) -> dict[str, Assigned]:
    """Two assignments of cells, for all objects of a reference together.

    What is near in the frame is preferred, the less the longer ago the reference is.

    Args:
        reference: the frame that is known.
        frame: (n, c) unit vectors of the one that is not.
        grid: rows and columns of its cells.
        now: its number.
        settings: of the tracking.
    """
    cosines = (reference.tokens @ frame.T).cpu().numpy()
    prior = settings.prior * math.exp(-(now - reference.number) / settings.prior_frames)
    favoured = cosines
    if prior and cosines.shape == (len(frame), len(frame)):
        favoured = cosines + np.float32(prior) * nearness(grid)
    of_object = {name: np.flatnonzero(inside) for name, inside in reference.inside.items()}
    rows = np.concatenate(list(of_object.values()))
    pairs, targets = linear_sum_assignment(favoured[rows], maximize=True)
    _, back = linear_sum_assignment(favoured.T[targets], maximize=True)
    owners = np.repeat(list(of_object), [len(each) for each in of_object.values()])[pairs]
    found = {}
    for name, cells in of_object.items():
        mine = np.flatnonzero(owners == name)
        kept = mine[reference.inside[name][back[mine]]]
        kept = kept if len(kept) else mine
        if not reference.given:
            most = max(_LEAST_PAIRS, int(_KEPT_PAIRS * len(kept)))
            likeness = favoured[rows[pairs[kept]], targets[kept]]
            kept = kept[np.argsort(-likeness, kind="stable")[:most]]
        found[name] = Assigned(targets[kept], half_distances(cosines[cells]))
    return found


@lru_cache(maxsize=4)
def nearness(grid: tuple[int, int], width: int = 1024) -> Map:
    """(n, n) in [0, 1]: how near each cell is to each other, from 0 to 1 in each row.

    Products of the sine codes of places, which depend on their distance along each axis alone.

    Args:
        grid: rows and columns of cells.
        width: numbers in a code.
    """
    frequencies = 10000.0 ** (-np.arange(width // 4) / (width / 4))
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    along = np.cos(np.arange(max(grid))[:, None] * frequencies).sum(axis=1)
    products = sum(along[np.abs(each[:, None] - each)] for each in (rows, columns))
    low, high = products.min(axis=1, keepdims=True), products.max(axis=1, keepdims=True)
    return np.asarray((products - low) / (high - low + 1e-6), np.float32)


def voted(found: Sequence[Assigned], cells: int) -> Cells:
    """Cells that half of the references chose, or as many as chose any.

    Args:
        found: what each reference says of one object.
        cells: of the frame.
    """
    votes = np.zeros(cells)
    for each in found:
        votes[each.cells] += 1
    return np.flatnonzero(votes >= min(len(found) / 2, votes.max()))


def steady(centres: Tensor, sizes: Tensor) -> Tensor:
    """Centres (m, 2) of clusters that are not small and not far from all others."""
    # As torch, of an even number the lower one.
    large = centres[sizes >= sizes.median() // 2]
    far = torch.cdist(large, large).sum(dim=1)
    order = far.argsort(descending=True, stable=True)
    following = far[order[1:]].clamp(min=1e-6)
    jumps = (far[order[:-1]] > _FAR * following).nonzero()[:, 0]
    first = int(jumps[-1]) + 1 if len(jumps) else 0
    return large[order[first:].sort().values]


def kept_scores(
    likeness: npt.NDArray[np.float64], total: npt.NDArray[np.float64], settings: Tracking
) -> npt.NDArray[np.int64]:
    """Positions of the masks that are an object in a frame, best first.

    Args:
        likeness: (n,) of each mask, n >= 1.
        total: (n,) what it is worth.
        settings: of the tracking.
    """
    number = np.flatnonzero(likeness >= min(settings.likeness, likeness.max()))
    spread = likeness[number] - likeness[number].min()
    spread = spread / max(spread.max(), 1e-6)
    number = number[spread >= min(settings.spread, spread.max())]
    _, first = np.unique(total[number], return_index=True)
    number = number[np.sort(first)]
    best = number[np.argsort(-total[number], kind="stable")][: settings.most]
    least = max((total[best] >= settings.least_score).sum(), (len(best) + 1) // 2)
    return best[:least]


def remembered(known: Sequence[Reference], now: int, settings: Tracking) -> list[Reference]:
    """The frames that the next one is looked for with: the last, and the best of the others.

    Args:
        known: frames so far, in order, without examples.
        now: number of the frame that comes.
        settings: of the tracking.
    """
    others = sorted(
        known[:-1],
        key=lambda each: each.score * max(0.0, 1 - (now - each.number) / settings.decay),
        reverse=True,
    )
    room = max(0, settings.frames - 2)
    return [*others[:room], *known[-1:]] if settings.frames > 1 else []
