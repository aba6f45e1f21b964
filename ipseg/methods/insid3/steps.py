"""The steps of INSID3: keep the tokens of an example, find clusters like its object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ipseg.bank import Bank, Entry
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.methods.insid3.candidates import candidates
from ipseg.methods.insid3.clusters import clusters_of
from ipseg.methods.insid3.outline import OnImage, Outline
from ipseg.methods.insid3.positions import basis_of, debiased
from ipseg.methods.insid3.reference import References, cells_of
from ipseg.methods.insid3.scoring import Clusters, scored
from ipseg.objects import Object
from ipseg.rows import Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask

Components = Annotated[int, Field(ge=1)]


def cells(grid: Tensor) -> Tensor:
    """Tokens (c, n, n) as (n * n, c) unit vectors."""
    return functional.normalize(grid.flatten(1).T, dim=1)


@dataclass
class DescribeReference(NetworkStep):
    """The tokens of a reference without positions, and which of them are object."""

    network: PatchEncoder
    components: Components

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def setup(self) -> None:
        """Loads the network.

        Raises:
            ConfigError: `components` would leave nothing of its features.
        """
        super().setup()
        basis_of(self.network, self.components)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `features` (1, n * n, c) float32, `masks` (1, n * n) bool.

        Raises:
            PromptError: the mask is empty.
        """
        network = self.network
        basis = basis_of(network, self.components)
        described = []
        for row, grid in zip(rows, network.encode([row["image"] for row in rows]), strict=True):
            mask = read_soft_mask(row["support_mask"]) > 0.5
            inside = cells_of(mask, network.side, network.cells)
            features = debiased(cells(grid), basis).cpu().numpy()
            kept = {"features": features[None], "masks": inside.reshape(1, -1)}
            described.append({**row, "prompt_features": kept})
        return described


class Target:
    """An image in which concepts are looked for; what none of them changes is computed once."""

    def __init__(self, grid: Tensor, basis: Tensor, alike: float) -> None:
        """Takes tokens (c, n, n), the basis of positions (c, k), and the cosine of alike cells."""
        self.raw = cells(grid)
        self.features = debiased(self.raw, basis)
        self._alike = alike

    @cached_property
    def clusters(self) -> Clusters:
        """Of the raw tokens; not computed where no concept has a candidate."""
        return Clusters.of(self.raw, clusters_of(self.raw, self._alike))

    @cached_property
    def directions(self) -> Tensor:
        """(q, c) of the clusters, in the space without positions."""
        return functional.normalize(self.clusters.means(self.features), dim=1)


@dataclass
class SegmentClusters(NetworkStep):
    """The clusters of an image that are like the object; it is encoded and clustered once."""

    network: PatchEncoder
    components: Components
    alike: float
    threshold: float
    outline: Outline
    bank: Bank

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def setup(self) -> None:
        """See `DescribeReference.setup`."""
        super().setup()
        basis_of(self.network, self.components)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`; none for a concept of which nothing was found."""
        grids = self.network.encode([row["image"] for row in rows])
        return [
            {**row, "objects": list(self._objects(row, grid))}
            for row, grid in zip(rows, grids, strict=True)
        ]

    @torch.inference_mode()
    def _objects(self, row: Row, grid: Tensor) -> Iterator[Object]:
        target = Target(grid, basis_of(self.network, self.components), self.alike)
        image = OnImage(row["image"], self.network.side, self.outline)
        for entry in self.bank.asked(row):
            found = self._find(entry, target, image)
            if found is not None:
                yield found

    def _find(self, entry: Entry, target: Target, image: OnImage) -> Object | None:
        references = References.of(entry.features, target.features.device)
        prototype = references.prototype()
        similarity = target.features @ prototype
        possible = candidates(target.features, similarity, references)
        if not possible.any():
            return None
        clusters = target.clusters
        found = scored(clusters, possible, similarity, target.directions, prototype)
        chosen = (found.score > self.threshold)[clusters.labels]
        side = self.network.cells
        mask = image.mask(chosen.view(side, side))
        if not mask.any():
            return None
        scores = found.score[clusters.labels][chosen]
        return Object.of(
            entry.concept,
            entry.category_id,
            mask,
            float(np.clip(scores.mean().item(), 0, 1)),
            evidence={
                "similarity_max": float(similarity.max()),
                "seed_similarity": found.likeness,
                "candidates": float(possible.float().mean()),
            },
        )
