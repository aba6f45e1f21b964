"""What a training makes small: classes, presence and masks, at every layer.

Source: SINE (Liu et al., NeurIPS 2024), released code; mask losses are those of Mask2Former.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.sine.mformer import Prediction
from ipseg.methods.sine.training.matching import matched
from ipseg.methods.sine.training.pairs import Pair
from ipseg.methods.sine.training.points import at_own, uncertain_points
from ipseg.methods.sine.training.settings import Losses

_EPSILON = 1e-8


@dataclass(frozen=True)
class Wanted:
    """What should be predicted for a pair.

    Attributes:
        columns: (n,) class of each object of the target, as a column of the logits.
        masks: (n, S, S) float, of the target.
        same: (m,) the target's object that is the reference's, -1 where it is absent.
    """

    columns: Tensor
    masks: Tensor
    same: Tensor

    @staticmethod
    def of(pair: Pair, settings: Losses, device: torch.device) -> Wanted:
        """For a pair; columns are in the order of the reference's classes."""
        reference, target = pair.reference, pair.target
        equal = reference.ids[:, None] == target.ids
        if settings.id_pairs == "same_image":
            equal &= pair.same_image
        same = torch.where(equal.any(dim=1), equal.int().argmax(dim=1), -1)
        columns = torch.searchsorted(reference.present, target.classes)
        return Wanted(columns.to(device), target.masks.to(device).float(), same.to(device))


@dataclass(frozen=True)
class Counts:
    """What losses are divided by, known before anything is predicted; means over all workers.

    Attributes:
        pairs: in a batch.
        presence: weights of the objects that are there or absent.
        masks: that are compared.
    """

    pairs: float
    presence: float
    masks: float

    @staticmethod
    def of(wanted: Sequence[Wanted], queries: int, settings: Losses) -> Counts:
        """Of the pairs of one worker, whose network has so many instance tokens."""
        present = sum(int((each.same >= 0).sum()) for each in wanted)
        absent = sum(len(each.same) for each in wanted) - present
        objects = sum(min(queries, len(each.columns)) for each in wanted)
        return Counts(
            float(len(wanted)), present + settings.nothing * absent, float(present + objects)
        )


@dataclass(frozen=True)
class Parts:
    """The losses of some predictions, weighted and divided: their sum is what is made small.

    Attributes:
        classes: of instances.
        presence: of identities.
        bce: of masks.
        dice: of masks.
    """

    classes: Tensor
    presence: Tensor
    bce: Tensor
    dice: Tensor

    @property
    def total(self) -> Tensor:
        """The sum."""
        return self.classes + self.presence + self.bce + self.dice


def pair_losses(
    levels: Iterable[tuple[Prediction, Prediction]],
    wanted: Wanted,
    counts: Counts,
    settings: Losses,
    random: torch.Generator,
) -> Parts:
    """The share of one pair in the losses of a batch, summed over the layers.

    Args:
        levels: of identities and of instances, before the first layer and after each.
        wanted: of the pair.
        counts: of the batch.
        settings: weights and points.
        random: for the points, on the device of the predictions.
    """
    found = [
        _level(identities, instances, wanted, counts, settings, random)
        for identities, instances in levels
    ]
    return Parts(
        *(
            torch.stack([getattr(each, name) for each in found]).sum()
            for name in ("classes", "presence", "bce", "dice")
        )
    )


def _level(
    identities: Prediction,
    instances: Prediction,
    wanted: Wanted,
    counts: Counts,
    settings: Losses,
    random: torch.Generator,
) -> Parts:
    device = instances.logits.device
    shared = torch.rand(settings.points, 2, device=device, generator=random)
    tokens, objects = matched(instances, wanted.columns, wanted.masks, shared, settings)
    present = wanted.same >= 0
    logits = torch.cat([instances.masks(tokens.to(device)), identities.masks(present)])
    truth = wanted.masks[torch.cat([objects.to(device), wanted.same[present]])]
    bce, dice = mask_losses(logits, truth, settings, random)
    masks = max(1.0, counts.masks) + _EPSILON
    return Parts(
        settings.classes
        * class_loss(instances, tokens, wanted.columns[objects], settings.nothing)
        / counts.pairs,
        settings.identities
        * presence_loss(identities, present, settings.nothing)
        / counts.presence,
        settings.bce * bce / masks,
        settings.dice * dice / masks,
    )


def class_loss(instances: Prediction, tokens: Tensor, columns: Tensor, nothing: float) -> Tensor:
    """Cross-entropy of the classes of one image's instances, a weighted mean.

    Args:
        instances: q of them, k classes.
        tokens: those that answer for an object.
        columns: of the classes of these objects.
        nothing: weight of those that answer for none; that of others is 1.
    """
    logits = instances.logits
    classes = torch.full((len(logits),), logits.shape[1] - 1, device=logits.device)
    classes[tokens.to(logits.device)] = columns.to(logits.device)
    weights = torch.ones(logits.shape[1], device=logits.device)
    weights[-1] = nothing
    return functional.cross_entropy(logits, classes, weight=weights)


def presence_loss(identities: Prediction, present: Tensor, nothing: float) -> Tensor:
    """Cross-entropy of whether objects are there, a weighted sum.

    Args:
        identities: m of them.
        present: (m,) bool.
        nothing: weight of those that are absent; that of others is 1.
    """
    weights = identities.logits.new_tensor([1.0, nothing])
    return functional.cross_entropy(
        identities.logits, (~present).long(), weight=weights, reduction="sum"
    )


def mask_losses(
    logits: Tensor, truth: Tensor, settings: Losses, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and overlap of masks at points, each summed over the masks.

    Args:
        logits: (n, h, w).
        truth: (n, S, S) float.
        settings: of the points.
        random: for them.
    """
    points = uncertain_points(logits, settings, random)
    found, wanted = at_own(logits, points), at_own(truth, points)
    bce = functional.binary_cross_entropy_with_logits(found, wanted, reduction="none").mean(dim=1)
    inside = found.sigmoid()
    overlap = (2 * (inside * wanted).sum(dim=1) + 1) / (inside.sum(dim=1) + wanted.sum(dim=1) + 1)
    return bce.sum(), (1 - overlap).sum()
