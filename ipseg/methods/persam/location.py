"""Where a target is in an image: a cosine map, the points at its ends, an attention map.

Source: PerSAM (Zhang et al., ICLR 2024), released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.features.similarity import cosine_similarity, unit
from ipseg.methods.persam.reference import Reference
from ipseg.rows import Map
from ipseg.segmenters import FeatureSegmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.promptable import Embedding

_FINER = 4  # times the grid of the features is that of the mask decoder's logits


@dataclass(frozen=True)
class Location:
    """Where one target is in one image.

    Attributes:
        prompt: the most similar pixels and, if wanted, as many of the least similar: positives
            first, each kind from the most extreme on. Coordinates are whole numbers of pixels, as
            released.
        cosines: (gh, gw) float32 in [-1, 1] over the network's square, padding included.
        attention: (gh, gw) float32 in (0, 1), see `attention_map`.
    """

    prompt: PointPrompt
    cosines: Map
    attention: Map


def locate(
    segmenter: FeatureSegmenter,
    embedding: Embedding,
    references: Sequence[Reference],
    *,
    topk: int,
    negative: bool,
) -> list[Location]:
    """Where each of P targets is in an image.

    Args:
        segmenter: what `embedding` comes from.
        embedding: of the image.
        references: the targets.
        topk: points of each kind, >= 1; fewer in an image of fewer pixels.
        negative: whether there are negative points too.

    Returns:
        One location for each reference, in order.
    """
    if not references:
        return []
    features = segmenter.feature_map(embedding)
    targets = torch.from_numpy(np.stack([each.target for each in references])).to(features.device)
    cosines = cosine_similarity(features.permute(1, 2, 0), unit(targets))
    # One after the other: at the size of a large image, a map takes 100 MB.
    return [_location(embedding, each, topk, negative=negative) for each in cosines]


def _location(embedding: Embedding, cosines: Tensor, topk: int, *, negative: bool) -> Location:
    finer = functional.interpolate(
        cosines[None, None], scale_factor=_FINER, mode="bilinear", align_corners=False
    )[0]
    full = embedding.frame.enlarge(finer)[0]
    scores = full.flatten()
    picks = [highest(scores, topk)]
    if negative:
        picks.append(highest(-scores, topk))
    places = torch.cat(picks).cpu().numpy()
    coords = np.stack([places % full.shape[1], places // full.shape[1]], axis=1)
    labels = np.repeat(np.array([1, 0], np.int8)[: len(picks)], len(picks[0]))
    attention = attention_map(full, (cosines.shape[0], cosines.shape[1]))
    return Location(
        PointPrompt(coords.astype(np.float32), labels),
        cosines.cpu().numpy(),
        attention.cpu().numpy(),
    )


def highest(scores: Tensor, k: int) -> Tensor:
    """Indices of the k highest of (n,) scores, best first; of equal ones the first.

    `torch.topk` alone leaves open which of equal scores it takes.
    """
    k = min(k, len(scores))
    brink = scores.topk(k).values[-1]
    candidates = (scores >= brink).nonzero()[:, 0]
    order = scores[candidates].argsort(descending=True, stable=True)
    return candidates[order[:k]]


def attention_map(cosines: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much the decoder should attend to each cell.

    As released, the standardised map of the image is brought to the grid as it is: for an image
    that does not fill the network's square, it is stretched over the padding too.

    Args:
        cosines: (H, W) float32 over the image.
        grid: cells of the network's square, rows and columns.

    Returns:
        (gh, gw) float32 in (0, 1); 0.5 where the map is at its mean.
    """
    small = functional.interpolate(cosines[None, None], grid, mode="bilinear", align_corners=False)
    # What varies less is the rounding of a constant map.
    deviation = cosines.std().clamp(min=1e-6)
    return ((small[0, 0] - cosines.mean()) / deviation).sigmoid()
