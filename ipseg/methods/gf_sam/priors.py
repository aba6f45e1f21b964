"""How much each cell of an image is like the object of an example, and like what is around it.

Source: GF-SAM (Zhang et al., NeurIPS 2024), section 3.2; released code, `GFSAM.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.features.similarity import unit
from ipseg.rows import Arrays, Mask

_EPSILON = 1e-7


def directions(tokens: Tensor) -> Tensor:
    """(n, c) unit vectors of raw tokens, whose channels are normalised over the image before.

    Over the image, as the released code does, by mistake or not.
    """
    return unit(functional.normalize(tokens, dim=0))


def on_cells(mask: Tensor, cells: int) -> Tensor:
    """(s, s) bool or float -> (cells * cells,) in [0, 1]: two pixels along each axis are seen."""
    full = mask[None, None].float()
    shape = (cells, cells)
    return functional.interpolate(full, shape, mode="bilinear", align_corners=True).flatten()


@torch.inference_mode()
def described(tokens: Tensor, mask: Mask) -> Arrays:
    """What is kept of one example.

    Args:
        tokens: (n * n, c) raw.
        mask: (s, s) bool. If nothing of it is seen on the cells, the one in the middle is kept
            with weight 0.

    Returns:
        `tokens` (k, c) unit vectors of the object's cells, `weights` (k,) of these, `sizes` (1,)
        how many they are, `whole` (1, c) sum of the unit vectors of all cells.
    """
    found = directions(tokens)
    weights = on_cells(torch.from_numpy(mask), round(len(tokens) ** 0.5)).to(tokens.device)
    kept = weights.nonzero()[:, 0] if weights.any() else torch.tensor([len(weights) // 2])
    arrays = {
        "tokens": found[kept],
        "weights": weights[kept],
        "sizes": torch.tensor([len(kept)]),
        "whole": found.sum(dim=0, keepdim=True),
    }
    return {name: array.cpu().numpy() for name, array in arrays.items()}


def merged(shots: Sequence[Arrays]) -> Arrays:
    """What is kept of several examples.

    If none of them has an object that is seen, the cell in the middle of each stands in for it, as
    released.
    """
    found = {name: np.concatenate([each[name] for each in shots]) for name in shots[0]}
    if not found["weights"].any():
        found["weights"] = np.ones_like(found["weights"])
    return found


@dataclass(frozen=True)
class Priors:
    """Cosines with an example, for each cell of an image; the mean over several examples.

    Attributes:
        positive_max: (n,) highest with a cell of the object, times its share of the cell.
        positive_mean: (n,) mean over the object.
        negative_mean: (n,) mean over what is around it.
    """

    positive_max: Tensor
    positive_mean: Tensor
    negative_mean: Tensor


@torch.inference_mode()
def priors(example: Arrays, image: Tensor) -> Priors:
    """The likeness of an image's cells to an example.

    Means over the example are cosines with one vector, so only the cells of the object are
    compared one by one.

    Args:
        example: from `merged`.
        image: (n, c) `directions`, on any device.
    """
    arrays = {n: torch.from_numpy(a.copy()).to(image.device) for n, a in example.items()}
    highest, positive, negative = [], [], []
    sizes = example["sizes"].tolist()
    apart = (torch.split(arrays[name], sizes) for name in ("tokens", "weights"))
    for tokens, weights, whole in zip(*apart, arrays["whole"], strict=True):
        likest = ((image @ tokens.T) * weights).max(dim=1).values
        # Cells without the object have weight 0.
        highest.append(likest.clamp(min=0) if len(weights) < len(image) else likest)
        inside = weights @ tokens
        positive.append(inside / _area(weights.sum(), len(image)))
        negative.append((whole - inside) / _area(len(image) - weights.sum(), len(image)))
    means = (image @ torch.stack(each).mean(dim=0) for each in (positive, negative))
    return Priors(torch.stack(highest).mean(dim=0), *means)


def _area(weight: Tensor, cells: int) -> Tensor:
    return cells * (weight / cells + _EPSILON)


def likeness_to(region: Tensor, cells: Tensor, image: Tensor) -> Tensor:
    """(k,) mean cosine of some cells with a region of the same image.

    Args:
        region: (n,) in [0, 1].
        cells: (k,) int64.
        image: (n, c) `directions`.
    """
    return image[cells] @ ((region @ image) / _area(region.sum(), len(image)))
