"""COCO's average precision of instances, by pycocotools: of their masks, and of their boxes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Formula -> what pycocotools calls it.
KINDS = {"mask AP": "segm", "box AP": "bbox"}
_COMPARED = {"segm": "segmentation", "bbox": "bbox"}


@dataclass(frozen=True)
class AveragePrecision:
    """Over all categories with an instance in the ground truth, at most 100 results of an image.

    Attributes:
        ap: mean over IoU 0.5 to 0.95, in [0, 1].
        ap50: at IoU 0.5.
        ap75: at IoU 0.75.
    """

    ap: float
    ap50: float
    ap75: float


def coco_ap(
    truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], kind: str
) -> AveragePrecision:
    """Results against ground truth; those that are crowds count for nothing.

    Args:
        truth: as in COCO's files: images, annotations (`area` and `bbox` included), categories.
        found: results: image_id, category_id, score, and `segmentation` (run lengths) or `bbox`
            (x, y, width, height), whichever the kind compares.
        kind: in `KINDS`.

    Raises:
        ValueError: no image of the ground truth has an instance.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    iou_type = KINDS[kind]
    names = ("image_id", "category_id", "score", _COMPARED[iou_type])
    # What pycocotools adds to its records stays out of the caller's.
    results = [{name: each[name] for name in names} for each in found]
    known = COCO()
    known.dataset = {
        "images": truth["images"],
        "categories": truth["categories"],
        "annotations": [dict(each) for each in truth["annotations"]],
    }
    if not known.dataset["annotations"]:
        raise ValueError("the ground truth has no instance, so there is no average precision")
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        if not results:
            return AveragePrecision(0.0, 0.0, 0.0)
        evaluation = COCOeval(known, known.loadRes(results), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return AveragePrecision(*map(float, evaluation.stats[:3]))
