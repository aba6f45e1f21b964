"""What is kept of a reference image: its tokens, which of them are object, their mean.

Source: INSID3, released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.errors import PromptError
from ipseg.rows import Arrays, Mask


@dataclass(frozen=True)
class References:
    """All examples of a concept, on the device.

    Attributes:
        features: (k, n, c) unit vectors, the cells of each example in reading order.
        masks: (k, n) bool, cells of the object.
    """

    features: Tensor
    masks: Tensor

    @staticmethod
    def of(arrays: Arrays, device: torch.device) -> References:
        """From what the bank keeps of a concept."""
        features, masks = (
            torch.from_numpy(np.array(arrays[name])).to(device) for name in ("features", "masks")
        )
        return References(features, masks)

    def prototype(self) -> Tensor:
        """(c,) unit vector: the mean over examples of the mean feature of the object."""
        means = [f[m].mean(dim=0) for f, m in zip(self.features, self.masks, strict=True)]
        return functional.normalize(torch.stack(means).mean(dim=0), dim=0)


def all_examples(shots: Sequence[Arrays]) -> Arrays:
    """What the bank keeps of several examples: all, as an image is compared with each."""
    return {name: np.concatenate([each[name] for each in shots]) for name in shots[0]}


def cells_of(mask: Mask, side: int, cells: int) -> Mask:
    """Which cells of a grid are object, at least one.

    The mask is squashed to the square (nearest); a cell is object if more than half of its four
    middle pixels are. If none is, its first pixel decides; if still none is, the cell in the middle
    of all object pixels, which may lie beside the object.

    Args:
        mask: (H, W) bool.
        side: of the square of the network, pixels.
        cells: along each side of the grid.

    Returns:
        (cells, cells) bool.

    Raises:
        PromptError: the mask is empty.
    """
    if not mask.any():
        raise PromptError("the mask of the prompt is empty")
    whole = torch.from_numpy(mask)[None, None].float()
    square = functional.interpolate(whole, (side, side), mode="nearest")
    for how in ("bilinear", "nearest"):
        grid = functional.interpolate(square, (cells, cells), mode=how)[0, 0] > 0.5
        if grid.any():
            return np.asarray(grid.numpy())
    # Of an object that the square has no pixel of, the middle is taken in the image.
    pixels = (square if square.any() else whole)[0, 0]
    middle = torch.nonzero(pixels).float().mean(dim=0)
    row, column = (middle * cells / torch.tensor(pixels.shape)).long().tolist()
    only = np.zeros((cells, cells), bool)
    only[row, column] = True
    return only
