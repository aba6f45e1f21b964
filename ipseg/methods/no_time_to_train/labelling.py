"""Which concept each mask shows, and which masks are parts of others.

Source: No Time To Train, released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms, masks_to_boxes  # type: ignore[import-untyped]

from ipseg.methods.no_time_to_train.proposals import Proposals

_LARGEST = 1024  # long side at which masks are compared, pixels
_PIXELS = 1 << 16  # that are compared at a time


@dataclass(frozen=True)
class Labelling:
    """How masks become objects.

    Attributes:
        concepts: `together`: a mask shows the concept that it is most like, as released, so that
            what is found of one depends on the others; `apart`: each concept is looked for as if
            there was no other.
        nms: IoU of boxes above which the mask with the lower predicted IoU goes.
        candidates: the most masks that are left then.
        limit: the most objects in an image; of each concept where they are looked for apart.
        min_score: an object's score is above it.
    """

    concepts: Literal["together", "apart"] = "together"
    nms: Annotated[float, Field(ge=0, le=1)] = 0.5
    candidates: Annotated[int, Field(ge=1)] = 800
    limit: Annotated[int, Field(ge=1)] = 100
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True)
class Found:
    """k objects, the best first.

    Attributes:
        proposals: their masks.
        concept: (k,) int64, index of the concept.
        score: (k,) in (0, 1].
        similarity: (k,) cosine of the mask and the concept.
        overlap: (k,) how much of it is in a better mask that looks like it.
    """

    proposals: Proposals
    concept: Tensor
    score: Tensor
    similarity: Tensor
    overlap: Tensor


def mask_features(tokens: Tensor, masks: Tensor) -> Tensor:
    """The direction of the mean feature in each mask.

    The tokens are meant to be enlarged to the masks (bilinear) and averaged there. As both are
    linear, the masks are brought to the tokens instead: a thousandth of the work.

    Args:
        tokens: (c, n, n) float32.
        masks: (m, h, w) bool, none of them empty.

    Returns:
        (m, c) unit vectors.
    """
    cells = torch.eye(tokens.shape[1], device=tokens.device)[None]
    rows, columns = (
        functional.interpolate(cells, size, mode="linear", align_corners=False)[0]
        for size in masks.shape[1:]
    )
    shares = torch.stack([rows @ mask.float() @ columns.T for mask in masks])
    return functional.normalize(shares.flatten(1) @ tokens.flatten(1).T, dim=1)


def label(
    proposals: Proposals,
    tokens: Tensor,
    prototypes: Tensor,
    shape: tuple[int, int],
    settings: Labelling,
) -> Found:
    """The masks that show a concept.

    Args:
        proposals: at least one.
        tokens: (c, n, n) of the image.
        prototypes: (p, c) unit vectors, the concepts that compete.
        shape: rows and columns of the image.
        settings: how.
    """
    features = mask_features(tokens, proposals.masks)
    similarity, concept = (features @ prototypes.T).clamp(min=0).max(dim=1)
    boxes = masks_to_boxes(proposals.masks)
    kept = batched_nms(boxes, proposals.predicted_iou, concept, settings.nms)
    kept = kept[: settings.candidates]  # in falling order of predicted IoU
    kept = kept[similarity[kept] > 0]
    similarity, concept = similarity[kept], concept[kept]
    overlap = torch.zeros_like(similarity)
    for number in sorted(set(concept.tolist())):
        same = (concept == number).nonzero()[:, 0]
        logits = proposals.logits[kept[same]]
        overlap[same] = covered(logits, features[kept[same]], shape)
    score = similarity * (1 - overlap).clamp(min=0).sqrt()
    best = score.argsort(descending=True, stable=True)[: settings.limit]
    best = best[score[best] > settings.min_score]
    return Found(proposals[kept[best]], concept[best], score[best], similarity[best], overlap[best])


def enlarged(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """(h, w) logits over an image -> (H, W) bool at another size."""
    return (
        functional.interpolate(logits[None, None], shape, mode="bilinear", antialias=True)[0, 0] > 0
    )


def covered(logits: Tensor, features: Tensor, shape: tuple[int, int]) -> Tensor:
    """The share of each mask that is in an earlier one, times the cosine of the two.

    Args:
        logits: (k, h, w) over the whole image.
        features: (k, c) unit vectors.
        shape: rows and columns of the image; it is smaller here if it is long.

    Returns:
        (k,) in [0, 1], the highest over all earlier ones; 0 for the first.
    """
    scale = min(1.0, _LARGEST / max(shape))
    size = (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))
    masks = torch.stack([enlarged(each, size).flatten() for each in logits])
    shared = logits.new_zeros(len(masks), len(masks))
    for start in range(0, masks.shape[1], _PIXELS):
        part = masks[:, start : start + _PIXELS].float()
        shared += part @ part.T
    share = shared / shared.diagonal().clamp(min=1)[:, None]
    alike = (features @ features.T).clamp(0, 1)
    return (share * alike).tril(diagonal=-1).max(dim=1).values
