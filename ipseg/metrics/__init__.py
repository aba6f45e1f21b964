"""Quality of masks and scores. Every formula has an id that is stored with its value.

======  ================================================================================
A       mean over all classes of ΣI / max(ΣU, 1), sums over images
A'      the same over the classes that occurred
B       mean over (image, class) of the IoU in that image
C       mean over images of (IoU of the object + IoU of the background) / 2
D       mean of object's and background's ΣI / ΣU, sums over images and classes
P       PerSeg's A; P.mAcc divides by the pixels of the ground truth
J, F    DAVIS: region and outline, mean over objects; J.recall, J.decay, F.recall, F.decay
JF      (J + F) / 2
G       YouTube-VOS: the mean of JF over objects of seen and of unseen categories
F1      of instances at IoU 0.5; N is the mean of |found - there| / there over images
AP      COCO's average precision of instances, AP50 that at IoU 0.5
======  ================================================================================

They give different numbers for the same masks and cannot be compared. `FORMULAS` has the definition
and the source of each. `average_precision` is another one: of presence in an image, over images.

Pixels are counted once (`Region`, `Boundary`); everything else works on integers, so results in any
order or grouping give the same value to the last bit. `measure`, `per_class`, `interval` and
`over_folds` work on tables of `ipseg.benchmarks.results.RESULTS`; `MeanIoU` is a sum over images
that merges with `+`.
"""

from __future__ import annotations

from ipseg.metrics.bootstrap import interval, interval_over_folds
from ipseg.metrics.boundary import Boundary
from ipseg.metrics.counts import Counts, Region
from ipseg.metrics.formulas import FORMULAS, Formula, formula_of
from ipseg.metrics.iou import ExactMean, MeanIoU
from ipseg.metrics.paired import paired_difference
from ipseg.metrics.ranking import average_precision
from ipseg.metrics.table import FoldValues, measure, over_folds, per_class

__all__ = [
    "FORMULAS",
    "Boundary",
    "Counts",
    "ExactMean",
    "FoldValues",
    "Formula",
    "MeanIoU",
    "Region",
    "average_precision",
    "formula_of",
    "interval",
    "interval_over_folds",
    "measure",
    "over_folds",
    "paired_difference",
    "per_class",
]
