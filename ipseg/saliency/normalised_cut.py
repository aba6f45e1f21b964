"""Normalised cut: splitting the patches of an image into object and background.

Source: Wang, Shen, Hu, Yuan, Crowley, Vaufreydaz, "Self-Supervised Transformers for Unsupervised
Object Discovery using Normalized Cut" (TokenCut), CVPR 2022, section 3; the cut itself is Shi and
Malik, "Normalized Cuts and Image Segmentation", PAMI 2000.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.linalg import eigh

_WEAK_EDGE = 1e-5  # between dissimilar patches: keeps the graph connected (the paper's epsilon)

Field = npt.NDArray[np.float64]  # (h, w), one value for each patch


def bipartition(features: npt.NDArray[np.float32], tau: float) -> Field:
    """Soft assignment of each patch to the object side of the normalised cut.

    All patches are linked: by 1 if the cosine of their features is above `tau`, else by a small
    weight. The generalised eigenvector of the second smallest eigenvalue is cut at its mean; the
    side with the largest absolute value is the object.

    Args:
        features: (h, w, c), any scale.
        tau: cosine above which two patches are similar.

    Returns:
        (h, w) float64 in [0, 1]: 0.5 at the cut, 1 and 0 at the extremes of the eigenvector. All 0
        if there is nothing to cut: fewer than three patches, or all similar, or none.
    """
    height, width, channels = features.shape
    tokens = features.reshape(-1, channels).astype(np.float64)
    tokens /= np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-12)
    similar = tokens @ tokens.T > tau
    np.fill_diagonal(similar, True)
    links = np.count_nonzero(similar)
    if len(tokens) < 3 or links in (len(tokens), similar.size):
        return np.zeros((height, width))
    weights = np.where(similar, 1.0, _WEAK_EDGE)
    root = np.sqrt(weights.sum(axis=1))
    # (D - W) y = l D y as a standard problem for sqrt(D) y; the second largest eigenvector.
    normalised = weights / root[:, None] / root[None, :]
    second = len(tokens) - 2
    _, vectors = eigh(normalised, subset_by_index=(second, second), overwrite_a=True)
    vector = vectors[:, 0] / root
    middle = vector.mean()
    if vector[np.abs(vector).argmax()] < middle:
        vector, middle = -vector, -middle
    above = (vector - middle) / (vector.max() - middle)
    below = (vector - middle) / (middle - vector.min())
    return np.where(vector > middle, 0.5 + 0.5 * above, 0.5 + 0.5 * below).reshape(height, width)


def main_part(side: Field) -> Field:
    """Keeps only the connected component with the highest value on the object side.

    Args:
        side: (h, w) in [0, 1], object above 0.5.

    Returns:
        (h, w) in [0, 1]; values of other components are mirrored at 0.5.
    """
    parts, _ = ndimage.label(side > 0.5)
    main = parts.ravel()[side.argmax()]
    return np.where((parts > 0) & (parts != main), 1 - side, side)
