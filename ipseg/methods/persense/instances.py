"""Instances of one concept that are the same object are taken once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from ipseg.objects import Object


def distinct(found: Sequence[Object], nms: float) -> list[Object]:
    """The instances without those that overlap a better one.

    Args:
        found: of one concept in one image, in any order.
        nms: IoU in [0, 1] above which two are the same object; 1 keeps all.

    Returns:
        In their order; of two with the same score the first stays.
    """
    if len(found) < 2:
        return list(found)
    runs = [
        {"size": each.segmentation["size"], "counts": each.segmentation["counts"].encode("ascii")}
        for each in found
    ]
    overlaps = coco.iou(runs, runs, [0] * len(runs))
    kept: list[int] = []
    for index in np.argsort([-each.score for each in found], kind="stable").tolist():
        if not (overlaps[index, kept] > nms).any():
            kept.append(index)
    return [found[index] for index in sorted(kept)]
