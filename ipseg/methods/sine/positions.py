"""Where tokens are in the canvas: the sine code, and where a reference is most similar.

Source: SINE (Liu et al., NeurIPS 2024), released code; the sine code is that of Mask2Former.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_SPREAD = 10.0  # cells: deviation of the bell about the most similar one


def sine_code(grid: tuple[int, int], width: int) -> Tensor:
    """The code of each cell of a grid, whatever of it is padding.

    Args:
        grid: rows and columns.
        width: numbers of a code; the first half is of the row, the second of the column.

    Returns:
        (rows * columns, width) float32, on the CPU.
    """
    half = width // 2
    number = torch.arange(half)
    frequency = 10000 ** (2 * torch.div(number, 2, rounding_mode="floor") / half)
    axes = []
    for side in grid:
        place = 2 * math.pi * torch.arange(1, side + 1) / (side + 1e-6)
        angle = place[:, None] / frequency
        axes.append(torch.where(number % 2 == 0, angle.sin(), angle.cos()))
    rows, columns = axes
    return torch.cat(
        [
            rows[:, None].expand(-1, grid[1], -1),
            columns[None].expand(grid[0], -1, -1),
        ],
        dim=2,
    ).flatten(0, 1)


def most_similar(
    references: Tensor, tokens: Tensor, code: Tensor, grid: tuple[int, int], temperature: Tensor
) -> Tensor:
    """The mean code of the cells that are like a reference, about the one most like it.

    Args:
        references: (n, c).
        tokens: (h * w, c), of the image.
        code: (h * w, c), of its cells.
        grid: (h, w).
        temperature: of the softmax over the cells, a number.

    Returns:
        (n, c).
    """
    cosines = functional.normalize(references, dim=1) @ functional.normalize(tokens, dim=1).T
    best = cosines.argmax(dim=1)
    # As released, but with the width of the grid: it takes all grids for square.
    y, x = (part.to(cosines.device) for part in _places(grid))
    away = (y - y[best][:, None]) ** 2 + (x - x[best][:, None]) ** 2
    bell = torch.exp(-away / (2 * _SPREAD**2))
    return (temperature * cosines * bell).softmax(dim=1) @ code


def _places(grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    index = torch.arange(grid[0] * grid[1])
    return torch.div(index, grid[1], rounding_mode="floor").float(), (index % grid[1]).float()
