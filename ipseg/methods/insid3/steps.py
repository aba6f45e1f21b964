"""The steps of INSID3: keep the tokens of an example, find clusters like its object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

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
from ipseg.rows import Arrays, Image, Mask, Row
from ipseg.steps.describe import DescribeStep
from ipseg.steps.segment import SegmentStep

Components = Annotated[int, Field(ge=1)]


def cells(grid: Tensor) -> Tensor:
    """Tokens (c, n, n) as (n * n, c) unit vectors."""
    return functional.normalize(grid.flatten(1).T, dim=1)


@dataclass
class DescribeReference(DescribeStep):
    """The tokens of a reference without positions, and which of them are object."""

    network: PatchEncoder
    components: Components

    def encode(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Tokens of each image."""
        return self.network.encode(images)

    def kept(self, row: Row, encoded: Tensor, mask: Mask) -> Arrays:
        """`features` (1, n * n, c) float32, `masks` (1, n * n) bool."""
        del row
        inside = cells_of(mask, self.network.side, self.network.cells)
        free = debiased(cells(encoded), basis_of(self.network, self.components))
        return {"features": free.cpu().numpy()[None], "masks": inside.reshape(1, -1)}


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
class SegmentCells(SegmentStep):
    """The base of steps that choose cells of one network, with its positions known."""

    network: PatchEncoder
    components: Components

    def setup(self) -> None:
        """Loads the network.

        Raises:
            ConfigError: `components` would leave nothing of its features.
        """
        super().setup()
        basis_of(self.network, self.components)

    def encode(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Tokens of each image."""
        return self.network.encode(images)


@dataclass
class SegmentClusters(SegmentCells):
    """The clusters of an image that are like the object; it is encoded and clustered once."""

    alike: float
    threshold: float
    outline: Outline
    bank: Bank

    @torch.inference_mode()
    def objects(self, row: Row, encoded: Tensor) -> Iterator[Object]:
        """See `SegmentStep`."""
        target = Target(encoded, basis_of(self.network, self.components), self.alike)
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
