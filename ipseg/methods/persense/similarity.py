"""How similar each pixel is to an example, and where a decoder is to attend.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code; the features and the
attention are those of PerSAM.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from ipseg.features.similarity import cosine_similarity, unit
from ipseg.methods.persam.location import attention_map
from ipseg.rows import Map
from ipseg.segmenters import FeatureSegmenter, Segmenter

_FINER = 4  # times the grid of the features is that of the mask decoder's logits


def cosines(segmenter: FeatureSegmenter, embedding: Any, targets: Any) -> Map:  # noqa: ANN401
    """Cosine of each cell of a segmenter's features with each of P targets.

    Args:
        segmenter: what `embedding` comes from.
        embedding: of the image.
        targets: (P, c) features, of any length.

    Returns:
        (P, gh, gw) float32 in [-1, 1] over the network's square, padding included.
    """
    features = segmenter.feature_map(embedding)
    wanted = torch.from_numpy(np.asarray(targets)).to(features.device)
    found = cosine_similarity(features.permute(1, 2, 0), unit(wanted))
    return np.asarray(found.cpu().numpy())


def over_image(segmenter: Segmenter, embedding: Any, similarity: Map) -> Map:  # noqa: ANN401
    """A map on the grid of `cosines` -> (H, W) over the image."""
    grid = torch.from_numpy(np.asarray(similarity))
    finer = functional.interpolate(
        grid[None, None], scale_factor=_FINER, mode="bilinear", align_corners=False
    )[0]
    return np.asarray(embedding.frame.enlarge(finer)[0].numpy())


def attention(full: Map, grid: Map, how: Literal["released", "fixed"]) -> Map:
    """How much a decoder should attend to each cell: (gh, gw) float32 in (0, 1).

    Args:
        full: (H, W) similarity over the image.
        grid: (gh, gw) the same over the network's square.
        how: `released` stretches the map of the image over the square, its padding included;
            `fixed` leaves each cell where it is.
    """
    exact = torch.from_numpy(full)
    if how == "released":
        return np.asarray(attention_map(exact, (grid.shape[0], grid.shape[1])).numpy())
    deviation = exact.std().clamp(min=1e-6)
    return np.asarray(((torch.from_numpy(grid) - exact.mean()) / deviation).sigmoid().numpy())
