"""The examples of a concept, ready to be compared with images.

Source: FoRIS, facts about its released code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.foris.appearance import Appearance, without
from ipseg.methods.insid3.positions import debiased
from ipseg.methods.insid3.reference import References
from ipseg.rows import Arrays

_SAME_SCENE = 0.8  # cosine of an object and an image from which on positions are left in


@dataclass(frozen=True)
class Looks:
    """What is computed of the examples of a concept once: some vectors.

    Attributes:
        gate: by which features are gated; None where no cell is object by its first pixel.
        object: by which cells are scored; its background has nothing along the object.
    """

    gate: Appearance | None
    object: Appearance


@dataclass(frozen=True)
class Examples:
    """All examples of a concept, on the device.

    Attributes:
        references: their features, and their masks as INSID3 takes them.
        nearest: (k, n) bool, cells whose first pixel is object; there may be none.
    """

    references: References
    nearest: Tensor

    @staticmethod
    def of(arrays: Arrays, device: torch.device) -> Examples:
        """From what the bank keeps of a concept."""
        nearest = torch.from_numpy(np.array(arrays["nearest"])).to(device)
        return Examples(References.of(arrays, device), nearest)

    def positions_mislead(self, target: Tensor) -> bool:
        """Whether an image (n, c) is so unlike the object that positions are to be taken out.

        As released, the last example that has an object decides; the paper has all together.
        """
        middle = target.mean(dim=0)
        for cells, inside in zip(
            reversed(self.references.features), reversed(self.nearest), strict=True
        ):
            if inside.any():
                mean = functional.normalize(cells[inside].mean(dim=0), dim=0)
                return float(mean @ middle / (middle.norm() + 1e-6)) < _SAME_SCENE
        return True

    def without_positions(self, basis: Tensor) -> Examples:
        """The examples without the directions of `basis` (c, k)."""
        features = self.references.features
        free = debiased(features.flatten(0, 1), basis).view(features.shape)
        return Examples(References(free, self.references.masks), self.nearest)

    def looks(self, alike: float) -> Looks:
        """See `Looks`; parts of the object are joined above the mean cosine `alike`."""
        features = self.references.features.flatten(0, 1)
        gate, inside = None, self.nearest.flatten()
        if inside.any():
            mean = functional.normalize(features[inside].mean(dim=0), dim=0)
            gate = Appearance.of(features, inside, mean, alike)
        mean = self.references.prototype()
        found = Appearance.of(features, self.references.masks.flatten(), mean, alike)
        return Looks(gate, Appearance(found.prototypes, without(found.background, mean)))

    def gated(self, gate: Appearance) -> References:
        """The examples with their features scaled by a gate."""
        pairs = zip(self.references.features, self.nearest, strict=True)
        features = [cells * gate.gate(cells, inside) for cells, inside in pairs]
        return References(torch.stack(features), self.references.masks)
