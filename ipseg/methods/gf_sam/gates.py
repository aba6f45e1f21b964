"""The graph of points and masks, and the two gates that a point has to pass.

Source: GF-SAM (Zhang et al., NeurIPS 2024), sections 3.3 and 3.4; released code, `GFSAM.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ipseg.methods.gf_sam.masks import PointMasks
from ipseg.methods.gf_sam.priors import Priors, likeness_to, on_cells

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


def coverage(masks: PointMasks, cells: Tensor, grid: int) -> Flags:
    """(n, n): the mask of the point of the row covers the point of the column.

    Args:
        masks: of n points.
        cells: (n, 2) column, row of the points.
        grid: cells along a side.
    """
    return np.asarray(masks.corners[:, cells[:, 1] * grid + cells[:, 0]].numpy())


def clusters(covers: Flags) -> Numbers:
    """(n,) number of the cluster of each point: one can be reached from another, either way."""
    _, labels = connected_components(covers, directed=True, connection="weak")
    return np.asarray(labels, np.int64)


@dataclass(frozen=True)
class Gated:
    """What the first gate makes of n points.

    Attributes:
        worth: (n,) float32, mean margin over the mask.
        accepted: (n,) whether what the mask adds to those before it is more object than not.
        otherwise: (n,) float32, by which a point is chosen if none passes both gates: equal in a
            cluster.
    """

    worth: npt.NDArray[np.float32]
    accepted: Flags
    otherwise: npt.NDArray[np.float32]


def positive_gate(masks: PointMasks, labels: Numbers, priors: Priors) -> Gated:
    """Takes the masks of a cluster by falling worth, those that add more object than background.

    Args:
        masks: of n points.
        labels: (n,) cluster of each.
        priors: of the example.
    """
    positive, negative = priors.positive_mean.cpu(), priors.negative_mean.cpu()
    middle = (positive.max() + positive.min()) / 2
    margin = positive**2 - negative * middle
    sign = torch.where(margin > 0, 1.0, -1.0)
    shares = masks.shares
    worth = (shares * margin).sum(dim=1) / (shares.sum(dim=1) + 1e-7)
    accepted = np.zeros(len(labels), np.bool_)
    otherwise = np.zeros(len(labels), np.float32)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.argsort(-worth[members].numpy(), kind="stable")]
        covered = torch.zeros_like(margin)
        for number in order:
            added = (shares[number] - covered).clamp(min=0)
            gain = float((added * sign).sum())
            if gain > 0:
                accepted[number] = True
                covered = torch.maximum(covered, shares[number])
            otherwise[members] = gain
    return Gated(worth.numpy(), accepted, otherwise)


def consistent(masks: PointMasks, labels: Numbers, cells: Tensor, image: Tensor) -> Flags:
    """(n,): a point is more like its own cluster's region than like others, for their distance.

    In a cluster with more points that are not than points that are, none is.

    Args:
        masks: of n points.
        labels: (n,) cluster of each.
        cells: (n, 2) column, row of the points.
        image: (g * g, c) `directions` of the image.
    """
    grid = round(len(image) ** 0.5)
    flat = (cells[:, 1] * grid + cells[:, 0]).to(image.device)
    places = cells.double()
    found = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        region = on_cells(torch.from_numpy(masks.union(members)), grid).to(image.device)
        distance = torch.cdist(places, places[members]).min(dim=1).values
        distance[distance == 0] = 1
        found.append(likeness_to(region, flat, image).cpu() / distance)
    own = torch.stack(found).argmax(dim=0).numpy() == np.unique(labels, return_inverse=True)[1]
    return own & (np.bincount(labels, own)[labels] * 2 >= np.bincount(labels)[labels])


def selected(accepted: Flags, stable: Flags, otherwise: npt.NDArray[np.float32]) -> Numbers:
    """Numbers of the points whose masks are the answer, at least one.

    Those that pass both gates; if there are none, the one with the highest `otherwise` among those
    that pass one gate. The others count as 0, as released: if that is the highest, the first of
    them is taken.
    """
    both = np.flatnonzero(accepted & stable)
    if len(both):
        return both
    return np.array([np.argmax(np.where(accepted != stable, otherwise, 0))])
