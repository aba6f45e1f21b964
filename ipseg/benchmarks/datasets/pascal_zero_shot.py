"""PASCAL-VOC and PASCAL-Context zero-shot splits, in the folders of the VOC devkit."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.annotations.label_index import Coding
from ipseg.benchmarks.datasets.pascal5i import VOC_CLASSES
from ipseg.benchmarks.datasets.zero_shot import ZeroShotBenchmark
from ipseg.benchmarks.layout import read_names

_VOID = 255


def _above(kit: str) -> tuple[str, ...]:
    return (kit, f"VOCdevkit/{kit}", f"data/VOCdevkit/{kit}")


class _VocBenchmark(ZeroShotBenchmark):
    """Images and label maps in the folders of the devkit, with a list of the validation set.

    Attributes:
        split: path of the list.
        maps: folder of the label maps.
    """

    split: ClassVar[str]
    maps: ClassVar[str]

    @cached_property
    def _images(self) -> dict[str, str]:
        names = sorted(read_names(f"{self._base}/{self.split}"))
        return {name: f"JPEGImages/{name}.jpg" for name in names}

    def _labels(self, name: str) -> str:
        return f"{self._base}/{self.maps}/{name}.png"


class PascalVocBenchmark(_VocBenchmark):
    """Five of twenty classes; the void outline (255) is not evaluated."""

    name: ClassVar[str] = "pascal-voc"
    title: ClassVar[str] = "PASCAL-VOC zero-shot split"
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/NAME.jpg                  ROOT is VOCdevkit/VOC2012, or a folder above\n"
        "ROOT/SegmentationClass/NAME.png           value = class id, 255 = void\n"
        "ROOT/ImageSets/Segmentation/val.txt\n"
        "Get VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk/pascal/VOC/voc2012."
    )
    unseen: ClassVar[dict[int, str]] = dict(enumerate(VOC_CLASSES[15:], start=16))
    places: ClassVar[tuple[str, ...]] = ("", *_above("VOC2012"))
    split: ClassVar[str] = "ImageSets/Segmentation/val.txt"
    maps: ClassVar[str] = "SegmentationClass"
    needed: ClassVar[tuple[str, ...]] = ("JPEGImages/", f"{maps}/", split)

    _coding = Coding(
        {class_id: class_id for class_id in unseen},
        {*range(21), _VOID},
        _VOID,
        "a VOC label map contains 0 to 20 and 255; does it hold colours instead of indices, or is "
        "it from another data set?",
    )


class PascalContextBenchmark(_VocBenchmark):
    """Four of 59 classes, with the numbers of mmsegmentation's converter.

    Pixels of none of the 59 classes (0) are evaluated: they have other labels of the data set, so
    they are background.
    """

    name: ClassVar[str] = "pascal-context"
    title: ClassVar[str] = "PASCAL-Context zero-shot split"
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/NAME.jpg                  ROOT is VOCdevkit/VOC2010, or a folder above\n"
        "ROOT/SegmentationClassContext/NAME.png    0 = none, 1 to 59 = classes by name\n"
        "ROOT/ImageSets/SegmentationContext/val.txt\n"
        "Get VOC2010 from host.robots.ox.ac.uk and trainval_merged.json from\n"
        "cs.stanford.edu/~roozbeh/pascal-context, then run mmsegmentation's\n"
        "tools/dataset_converters/pascal_context.py."
    )
    unseen: ClassVar[dict[int, str]] = {15: "cat", 20: "cow", 34: "motorbike", 49: "sofa"}
    places: ClassVar[tuple[str, ...]] = ("", *_above("VOC2010"))
    split: ClassVar[str] = "ImageSets/SegmentationContext/val.txt"
    maps: ClassVar[str] = "SegmentationClassContext"
    needed: ClassVar[tuple[str, ...]] = ("JPEGImages/", f"{maps}/", split)

    _coding = Coding(
        {class_id: class_id for class_id in unseen},
        set(range(60)),
        None,
        "a map of the 59 classes contains 0 to 59; is it from another converter, or of all 459 "
        "classes?",
    )
