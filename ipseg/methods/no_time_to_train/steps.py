"""The steps of No Time To Train: keep the feature of each instance, label masks of anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.bank import Bank, Entry
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.methods.no_time_to_train.labelling import Labelling, enlarged, label
from ipseg.methods.no_time_to_train.proposals import Proposals, Proposing, propose
from ipseg.methods.no_time_to_train.reference import cut_out, surroundings, weights_of, whole
from ipseg.objects import Object
from ipseg.rows import Image, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import read_soft_mask

INSTANCE = "instance"  # name of the prompt feature


@dataclass
class DescribeInstance(NetworkStep):
    """The mean feature of a reference's object, cut out of its image."""

    network: PatchEncoder
    context: float

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `instance` (c,) float32, not normalised.

        Raises:
            PromptError: the mask is empty.
        """
        masks = [read_soft_mask(row["support_mask"]) > 0.5 for row in rows]
        places = [surroundings(mask, self.context) for mask in masks]
        images = [row["image"][place] for row, place in zip(rows, places, strict=True)]
        grids = self.network.encode([np.ascontiguousarray(each) for each in images], cut_out)
        cut = [mask[place] for mask, place in zip(masks, places, strict=True)]
        return [
            {**row, "prompt_features": {INSTANCE: self._mean(grid, mask)}}
            for row, grid, mask in zip(rows, grids, cut, strict=True)
        ]

    def _mean(self, grid: Tensor, mask: Any) -> Any:  # noqa: ANN401
        weights = weights_of(mask, self.network.side, self.network.cells).to(grid.device)
        return (grid.flatten(1) @ (weights / weights.sum())).cpu().numpy()


@dataclass
class LabelMasks(SegmentStep):
    """Each instance of what a row asks for; both networks encode the image once for all."""

    network: PatchEncoder
    segmenter: Any  # a PromptableNetwork
    proposing: Proposing
    labelling: Labelling
    bank: Bank

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        """Embedding and tokens of each image."""
        embeddings = self.segmenter.encode(images)
        return list(zip(embeddings, self.network.encode(images, whole), strict=True))

    @torch.inference_mode()
    def objects(self, row: Row, encoded: tuple[Any, Tensor]) -> Iterator[Object]:
        """See `SegmentStep`."""
        embedding, grid = encoded
        entries = self.bank.asked(row)
        if not entries:
            return
        proposals = propose(self.segmenter, embedding, self.proposing)
        if not len(proposals.logits):
            return
        together = self.labelling.concepts == "together"
        for group in [entries] if together else [[entry] for entry in entries]:
            yield from self._label(group, proposals, grid, row["image"].shape[:2])

    def _label(
        self, entries: Sequence[Entry], proposals: Proposals, grid: Tensor, shape: tuple[int, int]
    ) -> Iterator[Object]:
        kept = np.stack([entry.features[INSTANCE] for entry in entries])
        prototypes = functional.normalize(torch.from_numpy(kept).to(grid.device), dim=1)
        found = label(proposals, grid, prototypes, shape, self.labelling)
        numbers: Counter[str] = Counter()
        for index, number in enumerate(found.concept.tolist()):
            entry = entries[number]
            mask = enlarged(found.proposals.logits[index], shape)
            if not mask.any():
                continue
            yield Object.of(
                entry.concept,
                entry.category_id,
                mask.cpu().numpy(),
                min(1.0, float(found.score[index])),
                predicted_iou=float(found.proposals.predicted_iou[index]),
                instance=numbers[entry.concept],
                evidence={
                    "similarity": float(found.similarity[index]),
                    "overlap": float(found.overlap[index]),
                },
                points=np.append(found.proposals.points[index].cpu().numpy(), 1)[None].astype(
                    np.float32
                ),
            )
            numbers[entry.concept] += 1
