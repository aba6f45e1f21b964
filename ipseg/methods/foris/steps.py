"""The steps of FoRIS: keep the tokens of an example, score the cells of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.bank import Bank, Entry
from ipseg.features.patch_encoder import PatchEncoder, stretched
from ipseg.methods.foris.examples import Examples, Looks
from ipseg.methods.foris.scoring import beside_features, cell_scores, seed_prior, spread
from ipseg.methods.insid3.candidates import votes
from ipseg.methods.insid3.clusters import clusters_of
from ipseg.methods.insid3.outline import OnImage, Outline
from ipseg.methods.insid3.positions import basis_of, debiased
from ipseg.methods.insid3.reference import cells_of
from ipseg.methods.insid3.steps import cells
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Row
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.masks import read_soft_mask

_REMEMBERED = 256  # concepts whose looks are kept, some 100 KB each


@dataclass
class DescribeExample(NetworkStep):
    """The tokens of an example, with positions, and which of them are object."""

    network: PatchEncoder

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`.

        `features` (1, n * n, c) float32; `masks` and `nearest` (1, n * n) bool: cells of the object
        as INSID3 takes them, and those whose first pixel is object, of which there may be none.

        Raises:
            PromptError: the mask is empty.
        """
        network = self.network
        described = []
        for row, grid in zip(rows, network.encode([row["image"] for row in rows]), strict=True):
            mask = read_soft_mask(row["support_mask"]) > 0.5
            inside = cells_of(mask, network.side, network.cells)
            whole = torch.from_numpy(mask)[None, None].float()
            nearest = functional.interpolate(whole, inside.shape, mode="nearest")[0, 0] > 0.5
            kept = {
                "features": cells(grid).cpu().numpy()[None],
                "masks": inside.reshape(1, -1),
                "nearest": nearest.numpy().reshape(1, -1),
            }
            described.append({**row, "prompt_features": kept})
        return described


class Target:
    """An image with or without positions; what no concept changes is computed once.

    Attributes:
        features: (n, c) unit vectors.
        beside: (n, 5) colour and place, or None.
    """

    def __init__(self, features: Tensor, beside: Tensor | None, alike: float) -> None:
        """Takes both, and the mean cosine above which clusters are joined."""
        self.features, self.beside = features, beside
        self._alike = alike

    @cached_property
    def labels(self) -> Tensor:
        """(n,) clusters. A gate scales cells, which leaves their cosines, and so these, alike."""
        return clusters_of(self.features, self._alike)


@dataclass
class ScoreCells(NetworkStep):
    """The cells of an image that are like the object; it is encoded once, clustered twice."""

    network: PatchEncoder
    components: int
    alike: float
    colour_and_place: bool
    outline: Outline
    bank: Bank
    _looks: dict[tuple[str, bool], Looks] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    uses: ClassVar[tuple[str, ...]] = ("asks",)

    def setup(self) -> None:
        """Loads the network.

        Raises:
            ConfigError: `components` would leave nothing of its features.
        """
        super().setup()
        basis_of(self.network, self.components)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `objects`, one for each concept: a mask is never empty, a presence may be 0."""
        grids = self.network.encode([row["image"] for row in rows])
        return [
            {**row, "objects": list(self._objects(row, grid))}
            for row, grid in zip(rows, grids, strict=True)
        ]

    @torch.inference_mode()
    def _objects(self, row: Row, grid: Tensor) -> Iterator[Object]:
        basis, raw, image = basis_of(self.network, self.components), cells(grid), row["image"]
        beside = None
        if self.colour_and_place:
            beside = beside_features(stretched(image, self.network.cells).to(raw.device))
        on_image = OnImage(image, self.network.side, self.outline)
        whole, free = (Target(each, beside, self.alike) for each in (raw, debiased(raw, basis)))
        for entry in self.bank.asked(row):
            examples = Examples.of(entry.features, raw.device)
            out = examples.positions_mislead(raw)
            if out:
                examples = examples.without_positions(basis)
            looks = self._looks_of(entry.concept, out, examples)
            found = self._find(entry, free if out else whole, examples, looks, on_image)
            if found is not None:
                yield found

    def _looks_of(self, concept: str, out: bool, examples: Examples) -> Looks:
        if (concept, out) not in self._looks:
            if len(self._looks) >= _REMEMBERED:
                self._looks.pop(next(iter(self._looks)))  # the oldest
            self._looks[concept, out] = examples.looks(self.alike)
        return self._looks[concept, out]

    def _find(
        self,
        entry: Entry,
        target: Target,
        examples: Examples,
        looks: Looks,
        image: OnImage,
    ) -> Object | None:
        features, references = target.features, examples.references
        if looks.gate is not None:
            references = examples.gated(looks.gate)
            features = features * looks.gate.gate(features)
        count = votes(features, references)
        candidates = count >= (len(examples.nearest) + 1) // 2
        likeness = looks.object.likeness(target.features)
        prior = seed_prior(features, target.beside, likeness, candidates, self.alike)
        score = cell_scores(
            likeness,
            target.features @ looks.object.background,
            count / len(examples.nearest),
            prior,
            target.labels,
        )
        level = spread(score)
        side = self.network.cells
        mask = image.mask(level.view(side, side))
        if not mask.any():
            return None
        presence = float(score.max().clamp(0, 1)) if candidates.any() else 0.0
        return Object.of(
            entry.concept,
            entry.category_id,
            mask,
            float(level[level > 0.5].mean()),
            evidence={
                PRESENCE: presence,
                "likeness_max": float(likeness.max()),
                "candidates": float(candidates.float().mean()),
            },
        )
