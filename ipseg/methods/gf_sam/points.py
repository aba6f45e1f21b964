"""Which cells of an image become points: as many as there is likeness, and no parameter.

Source: GF-SAM (Zhang et al., NeurIPS 2024), section 3.2; released code, `GFSAM.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ipseg.methods.gf_sam.priors import Priors

_MOST = 128
_EPSILON = 1e-6


def alignment(priors: Priors) -> Tensor:
    """(n,) in [0, 1]: likeness to the object, 0 where likeness to its background is higher."""
    positive = _spread(priors.positive_mean * priors.positive_max)
    return positive.masked_fill(_spread(priors.negative_mean) > positive, 0)


def _spread(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min() + _EPSILON)


def point_cells(aligned: Tensor, grid: int) -> Tensor:
    """(k, 2) int64 column, row of the cells with the highest alignment, by column, then row.

    As many as its sum, at most 128; one if the sum is less than one; none if it is zero.
    """
    total = float(aligned.sum())
    count = min(max(int(total), int(total > 0)), _MOST)
    best = aligned.argsort(descending=True, stable=True)[:count]
    columns, rows = best % grid, best // grid
    order = (columns * grid + rows).argsort()
    return torch.stack([columns, rows], dim=1)[order]
