"""COCO-Stuff 164k zero-shot split, in the folders of mmsegmentation."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.annotations.label_index import Coding
from ipseg.benchmarks.datasets.class_folders import stem
from ipseg.benchmarks.datasets.zero_shot import ZeroShotBenchmark
from ipseg.benchmarks.layout import is_file
from ipseg.errors import SourceError
from ipseg.storage.walk import list_files

_IMAGES = "images/val2017"
_MAPS = "annotations/val2017"
_CONVERTED = "_labelTrainIds"
_VOID = 255
_LAST_ID = 182
# Ids in labels.txt without any annotation: street sign, hat, shoe, eye glasses, plate, mirror,
# window, desk, door, blender, hair brush.
_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
_IDS = tuple(i for i in range(1, _LAST_ID + 1) if i not in _UNUSED_IDS)


class CocoStuffBenchmark(ZeroShotBenchmark):
    """Fifteen of 182 classes; unlabeled pixels (255) are not evaluated.

    Class ids are those of labels.txt in the repository nightrome/cocostuff. The published label
    maps (stuffthingmaps) contain id - 1; those written by mmsegmentation's converter number the 171
    annotated classes from 0.
    """

    name: ClassVar[str] = "coco-stuff"
    title: ClassVar[str] = "COCO-Stuff zero-shot split"
    layout: ClassVar[str] = (
        "ROOT/images/val2017/NAME.jpg        ROOT may also be the folder above coco_stuff164k/\n"
        "ROOT/annotations/val2017/NAME.png   value = id - 1, 255 = unlabeled; or the converted\n"
        "                                    NAME_labelTrainIds.png\n"
        "Get val2017.zip from cocodataset.org and stuffthingmaps_trainval2017.zip from the\n"
        "repository nightrome/cocostuff."
    )
    unseen: ClassVar[dict[int, str]] = {
        **{21: "cow", 25: "giraffe", 33: "suitcase", 34: "frisbee", 41: "skateboard"},
        **{57: "carrot", 87: "scissors", 100: "cardboard", 106: "clouds", 124: "grass"},
        **{145: "playingfield", 148: "river", 149: "road", 169: "tree", 172: "wall-concrete"},
    }
    places: ClassVar[tuple[str, ...]] = ("", "coco_stuff164k", "data/coco_stuff164k")
    needed: ClassVar[tuple[str, ...]] = (f"{_IMAGES}/", f"{_MAPS}/")

    @cached_property
    def _images(self) -> dict[str, str]:
        files = [url.rpartition("/")[2] for url in list_files(f"{self._base}/{_IMAGES}", "*.jpg")]
        if not files:
            raise SourceError(f"{self._base}/{_IMAGES} contains no .jpg; it needs\n{self.layout}")
        return {stem(file): f"{_IMAGES}/{file}" for file in files}

    def _labels(self, name: str) -> str:
        return f"{self._base}/{_MAPS}/{name}{_CONVERTED if self._converted else ''}.png"

    @cached_property
    def _converted(self) -> bool:
        # The converter writes next to the published maps; if both exist, the published ones are
        # read.
        first = f"{self._base}/{_MAPS}/{next(iter(self._images))}"
        if is_file(f"{first}.png"):
            return False
        if is_file(f"{first}{_CONVERTED}.png"):
            return True
        raise SourceError(
            f"label map {first}.png is missing, and so is {first}{_CONVERTED}.png; it needs\n"
            f"{self.layout}"
        )

    @cached_property
    def _coding(self) -> Coding:
        if self._converted:
            numbers = {class_id: number for number, class_id in enumerate(_IDS)}
            explanation = (
                f"a converted map contains 0 to {len(_IDS) - 1} and 255; was it made by "
                "mmsegmentation's coco_stuff164k.py?"
            )
        else:
            numbers = {class_id: class_id - 1 for class_id in _IDS}
            explanation = (
                "a published map contains id - 1 of annotated classes, 255 for unlabeled; is it "
                "from another release, or converted and renamed?"
            )
        return Coding(numbers, {*numbers.values(), _VOID}, _VOID, explanation)
