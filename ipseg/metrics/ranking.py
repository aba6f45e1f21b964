"""How well scores separate images with a concept from those without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def average_precision(
    scores: Sequence[float] | npt.NDArray[np.floating],
    present: Sequence[bool] | npt.NDArray[np.bool_],
) -> float | None:
    """Average precision (AP) of scores for the presence of a concept in an image.

    Args:
        scores: (n,) confidence that it is present; 0 if nothing was found.
        present: (n,) whether it is.

    Returns:
        Σ (R_n - R_n-1) P_n over the distinct scores, in (0, 1], not interpolated. None if it is
        present in all images or in none.
    """
    from sklearn.metrics import average_precision_score

    ground_truth = np.asarray(present, dtype=bool)
    if ground_truth.all() or not ground_truth.any():
        return None
    return float(average_precision_score(ground_truth, np.asarray(scores, dtype=np.float64)))
