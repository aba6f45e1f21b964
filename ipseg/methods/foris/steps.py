"""The steps of FoRIS: keep the tokens of an example, score the cells of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ipseg.bank import Bank, Entry
from ipseg.features.patch_encoder import PatchEncoder, stretched
from ipseg.features.patch_tokens import nearest_mask
from ipseg.methods.foris.examples import Examples, Looks
from ipseg.methods.foris.scoring import beside_features, cell_scores, seed_prior, spread
from ipseg.methods.insid3.candidates import votes
from ipseg.methods.insid3.clusters import clusters_of
from ipseg.methods.insid3.outline import OnImage, Outline
from ipseg.methods.insid3.positions import basis_of, debiased
from ipseg.methods.insid3.reference import cells_of
from ipseg.methods.insid3.steps import SegmentCells, cells
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Arrays, Image, Mask, Row
from ipseg.steps.describe import DescribeStep

_REMEMBERED = 256  # concepts whose looks are kept, some 100 KB each


@dataclass
class DescribeExample(DescribeStep):
    """The tokens of an example, with positions, and which of them are object."""

    network: PatchEncoder

    def encode(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Tokens of each image."""
        return self.network.encode(images)

    def kept(self, row: Row, encoded: Tensor, mask: Mask) -> Arrays:
        """`features` (1, n * n, c) float32; `masks` and `nearest` (1, n * n) bool.

        These are the cells of the object as INSID3 takes them, and those whose first pixel is
        object, of which there may be none.
        """
        del row
        inside = cells_of(mask, self.network.side, self.network.cells)
        return {
            "features": cells(encoded).cpu().numpy()[None],
            "masks": inside.reshape(1, -1),
            "nearest": nearest_mask(mask, inside.shape).reshape(1, -1),
        }


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
class ScoreCells(SegmentCells):
    """The cells of an image that are like the object; it is encoded once, clustered twice."""

    alike: float
    colour_and_place: bool
    outline: Outline
    bank: Bank
    _looks: dict[tuple[str, bool], Looks] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @torch.inference_mode()
    def objects(self, row: Row, encoded: Tensor) -> Iterator[Object]:
        """See `SegmentStep`; one for each concept: a mask is never empty, a presence may be 0."""
        basis, raw, image = basis_of(self.network, self.components), cells(encoded), row["image"]
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
