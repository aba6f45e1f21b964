"""From what the network predicts to masks with scores: one answer for each task.

Source: SINE (Liu et al., NeurIPS 2024), released code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ipseg.methods.sine.canvas import Size, View
from ipseg.methods.sine.mformer import Prediction
from ipseg.objects import CONVINCING

Overlaps = Literal["keep", "best", "last"]
_PIXELS = 2**24  # in the masks that are there at a time
_EPSILON = 1e-6


@dataclass(frozen=True)
class Instance:
    """One object that was found.

    Attributes:
        number: of its class, or of its identity, from 0.
        probability: that it is this class, or that the object is there, in [0, 1].
        outline: mean probability of the pixels of its mask, in [0, 1].
        mask: (H, W) bool, on the device of the network.
    """

    number: int
    probability: float
    outline: float
    mask: Tensor

    @property
    def score(self) -> float:
        """Probability times outline."""
        return self.probability * self.outline


def class_scores(prediction: Prediction, view: View, size: Size) -> Tensor:
    """How much each pixel is of each class: the sum of what all instances say.

    This is no probability: it is not divided by anything, and above 1 where instances agree. As
    released, the sum is brought to the size of the image, not each mask.

    Args:
        prediction: of instances, k classes.
        view: of the image on its canvas.
        size: of the image.

    Returns:
        (k, *size) float32, at least 0.
    """
    weights = prediction.logits.softmax(dim=1)[:, :-1]
    total = torch.zeros(())
    at_once = _at_once(view.canvas)
    for start in range(0, len(weights), at_once):
        part = slice(start, start + at_once)
        inside = view.crop(prediction.masks(part)).sigmoid()
        total = torch.einsum("qk,qhw->khw", weights[part], inside) + total.to(inside.device)
    return View(view.inside, view.inside).back(total, size)


def instances(prediction: Prediction, view: View, size: Size, limit: int) -> Iterator[Instance]:
    """The most probable pairs of instance and class; an instance may be of several classes.

    Args:
        prediction: of instances, k classes.
        view: of the image on its canvas.
        size: of the image.
        limit: the most pairs.

    Yields:
        At most `limit` of them, the most probable class first; masks may be empty.
    """
    probabilities = prediction.logits.softmax(dim=1)[:, :-1]
    classes = probabilities.shape[1]
    order = probabilities.flatten().argsort(descending=True, stable=True)[:limit]
    for pairs in torch.split(order, min(_at_once(size), _at_once(view.canvas))):
        queries = torch.div(pairs, classes, rounding_mode="floor")
        values = probabilities.flatten()[pairs]
        yield from _instances(prediction, queries, (pairs % classes, values), view, size)


def convincing_beyond(prediction: Prediction, limit: int) -> int:
    """Pairs that a limit of `instances` leaves out though they are there more likely than not."""
    probabilities = prediction.logits.softmax(dim=1)[:, :-1].flatten()
    beyond = probabilities.sort(descending=True).values[limit:]
    return int((beyond >= CONVINCING).sum())


def identities(prediction: Prediction, view: View, size: Size) -> Iterator[Instance]:
    """Each object that was looked for, in order, whether it is there or not; masks may be empty.

    Args:
        prediction: of identities.
        view: of the image on its canvas.
        size: of the image.
    """
    present = prediction.logits.softmax(dim=1)[:, 0]
    numbers = torch.arange(len(present), device=present.device)
    for part in torch.split(numbers, min(_at_once(size), _at_once(view.canvas))):
        yield from _instances(prediction, part, (part, present[part]), view, size)


def _at_once(size: Size) -> int:
    return max(1, _PIXELS // (size[0] * size[1]))


def _instances(
    prediction: Prediction,
    queries: Tensor,
    about: tuple[Tensor, Tensor],
    view: View,
    size: Size,
) -> Iterator[Instance]:
    logits = view.back(prediction.masks(queries), size)
    masks = logits > 0
    inside = (logits.sigmoid() * masks).sum(dim=(1, 2))
    outlines = inside / (masks.sum(dim=(1, 2)) + _EPSILON)
    numbers, probabilities = about
    yield from map(
        Instance, numbers.tolist(), probabilities.tolist(), outlines.tolist(), masks.unbind()
    )


def owners(prediction: Prediction, view: View, size: Size, rule: Overlaps) -> Tensor:
    """Which object each pixel goes to where masks overlap.

    Args:
        prediction: of identities.
        view: of the image on its canvas.
        size: of the image.
        rule: "best": the one with the highest logit; "last": the last one, as released for video,
            whatever the logits.

    Returns:
        (*size) int64: number of the object; -1 where no mask is.
    """
    owner = torch.full(size, -1)
    highest = torch.zeros(size)  # a mask is where its logit is above zero
    for number in range(len(prediction.queries)):
        logits = view.back(prediction.masks(slice(number, number + 1)), size)[0]
        owner, highest = owner.to(logits.device), highest.to(logits.device)
        taken = logits > (highest if rule == "best" else 0)
        owner = torch.where(taken, number, owner)
        highest = torch.where(taken, logits, highest)
    return owner
