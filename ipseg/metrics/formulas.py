"""All formulas by id, with definition and source."""

from __future__ import annotations

from dataclasses import dataclass, field

from ipseg.errors import ConfigError
from ipseg.metrics.aggregate import ClassMean, ForegroundBackground
from ipseg.metrics.estimator import Estimator
from ipseg.metrics.image_mean import ImageForegroundBackground, ImageIoU
from ipseg.metrics.instance_formulas import CountError, InstanceAP, InstanceF1
from ipseg.metrics.tracks import Measure, TrackMean, decay, recall
from ipseg.parts import unknown


@dataclass(frozen=True)
class Formula:
    """One way to compute a number from pixel counts.

    Attributes:
        id: stored with every number.
        title: for the header of a column.
        definition: one line; I and U are pixels of intersection and union, Σ sums over episodes.
        source: where it is used.
        estimator: the computation.
    """

    id: str
    title: str
    definition: str
    source: str
    estimator: Estimator = field(repr=False)


_HSNET = "HSNet's meter; Matcher, GF-SAM, SANSA, INSID3, SINE"
_COCO = "COCO (Lin et al., ECCV 2014)"
_DAVIS = "DAVIS-2017, semi-supervised (Perazzi et al., CVPR 2016)"


def _of_objects(measure: Measure, definition: str) -> tuple[Formula, ...]:
    means = f"mean over objects of the mean over frames of {definition}"
    shares = f"mean over objects of the share of frames with {measure} above 0.5"
    losses = (
        f"mean over objects of {measure} over the first quarter of the frames minus {measure} over "
        "the last; lower is better"
    )
    of = (measure,)
    return (
        Formula(measure, f"{measure}-Mean", means, _DAVIS, TrackMean(of)),
        Formula(f"{measure}.recall", f"{measure}-Recall", shares, _DAVIS, TrackMean(of, recall)),
        Formula(f"{measure}.decay", f"{measure}-Decay", losses, _DAVIS, TrackMean(of, decay)),
    )


_ALL = (
    Formula(
        "A",
        "mIoU",
        "mean over all classes of ΣI / max(ΣU, 1); a class that never occurs counts as 0",
        _HSNET,
        ClassMean(),
    ),
    Formula(
        "A'",
        "mIoU of seen classes",
        "mean over the classes that occur of ΣI / max(ΣU, 1)",
        "SegIC, FSS-SAM3",
        ClassMean(over="seen"),
    ),
    Formula(
        "B",
        "image mIoU",
        "mean over images of I / U, each image with the same weight, whatever its class",
        "IPSeg's release",
        ImageIoU(),
    ),
    Formula(
        "C",
        "image FB-IoU",
        "mean over images of half the object's I / U plus half the background's; about twice a "
        "weak B, though printed as mIoU",
        "PR-MaGIC's release",
        ImageForegroundBackground(),
    ),
    Formula(
        "D",
        "FB-IoU",
        "half the object's ΣI / ΣU plus half the background's, sums over all classes",
        "HSNet's meter; FSS-SAM3",
        ForegroundBackground(),
    ),
    Formula(
        "P",
        "PerSeg mIoU",
        "mean over all objects of ΣI / (ΣU + 1e-10)",
        "PerSAM's evaluation",
        ClassMean(epsilon=1e-10),
    ),
    Formula(
        "P.mAcc",
        "PerSeg mAcc",
        "mean over all objects of ΣI / (pixels of the ground truth + 1e-10)",
        "PerSAM's evaluation",
        ClassMean("ground_truth", epsilon=1e-10),
    ),
    *_of_objects("J", "I / U; 1 where both masks are empty"),
    *_of_objects(
        "F", "2PR / (P + R), precision and recall of the outline within 0.8 % of the diagonal"
    ),
    Formula("JF", "J&F", "(J-Mean + F-Mean) / 2", _DAVIS, TrackMean(("J", "F"))),
    Formula(
        "F1",
        "instance F1",
        "2 Σmatched / (Σfound + Σthere) over instances, each matched once, at IoU 0.5",
        "panoptic segmentation's recognition quality (Kirillov et al., CVPR 2019)",
        InstanceF1(),
    ),
    Formula(
        "N",
        "count error",
        "mean over images of |found - there| / there, of instances; lower is better",
        "counting: mean absolute relative error",
        CountError(),
    ),
    Formula(
        "AP",
        "COCO AP",
        "mean over classes and IoU 0.50 to 0.95 of the precision at 101 recalls; every object of "
        "an image counts, not the first 100",
        _COCO,
        InstanceAP(),
    ),
    Formula("AP50", "COCO AP50", "the same at IoU 0.50", _COCO, InstanceAP("half")),
    Formula(
        "G",
        "G",
        "mean over seen and unseen categories of (J-Mean + F-Mean) / 2",
        "YouTube-VOS (Xu et al., 2018), whose server computes it",
        TrackMean(("J", "F")),
    ),
)
FORMULAS: dict[str, Formula] = {formula.id: formula for formula in _ALL}


def formula_of(name: str) -> Formula:
    """The formula of this id.

    Raises:
        ConfigError: there is none; suggests the closest id.
    """
    if name not in FORMULAS:
        raise ConfigError(unknown("formula", name, list(FORMULAS)))
    return FORMULAS[name]
