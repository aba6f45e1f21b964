"""PASCAL-5i: four folds of five classes of PASCAL VOC 2012 (as arranged by HSNet).

The rule is that of HSNet's loader (repository juhongm999/hsnet, `data/pascal.py`, commit 5ccb58d):
the query of episode i and its class are line i of the fold's list, modulo its length; only the
supports are drawn. The resulting list was not published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import cycle, islice
from typing import ClassVar

from ipseg.benchmarks.annotations.label_index import Coding
from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets import drawing, fss_sam3
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import check_files, folders_of, is_file, nested, read_lines, read_names
from ipseg.benchmarks.protocol import MATCHER_PROTOCOL, Protocol
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_VOID = 255
_CODING = Coding(
    values={number: number for number in range(1, len(VOC_CLASSES) + 1)},
    possible=frozenset({*range(len(VOC_CLASSES) + 1), _VOID}),
    void=_VOID,
    explanation="0 is background, 1 to 20 are the classes, 255 is void",
)
_SQUASHED = "squashed"
_FOLDS = 4
_IN_FOLD = len(VOC_CLASSES) // _FOLDS
_MAPS = "SegmentationClassAug/"
_VAL = "ImageSets/Segmentation/val.txt"
_OFFICIAL = ("SegmentationClass/", "SegmentationObject/")
_LINE = re.compile(r"(?P<image>\d{4}_\d{6})__(?P<class_id>\d{1,2})")


class Pascal5iBenchmark(Benchmark):
    """Classes 1 to 20 as in the label maps; fold f tests 5f + 1 to 5f + 5; void is not evaluated.

    1000 episodes. HSNet counts the classes from 0, which changes nothing but their numbers. A query
    is never its own support, but may be a support of another query, whatever
    `Sampling.exclude_prompt` is.
    """

    name: ClassVar[str] = "pascal-5i"
    title: ClassVar[str] = "PASCAL-5i"
    folds: ClassVar[tuple[str, ...]] = tuple(str(fold) for fold in range(_FOLDS))
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/*.jpg               of VOC2012\n"
        "ROOT/SegmentationClassAug/*.png     label maps, including those of SBD\n"
        "ROOT/splits/val/fold{0..3}.txt      lines 2007_000033__01; repository juhongm999/hsnet,\n"
        "                                    data/splits/pascal; splits/pascal/val/ works too\n"
        f"Rule '{fss_sam3.RULE}' needs SegmentationClass/, SegmentationObject/ and\n"
        f"{_VAL} of the official VOC2012 instead.\n"
        "ROOT may also be the folder above VOC2012/, VOCdevkit/, datasets/ or data/."
    )
    places: ClassVar[tuple[str, ...]] = nested("", "VOC2012", "VOCdevkit/VOC2012")
    needed: ClassVar[tuple[str, ...]] = ("JPEGImages/",)
    rules: ClassVar[dict[str, str]] = {
        drawing.UNIQUE_SUPPORTS: drawing.RULES[drawing.UNIQUE_SUPPORTS],
        _SQUASHED: "the same episodes, compared at 518 x 518, as SINE does",
        fss_sam3.RULE: "FSS-SAM3's draws from the official val list (published numbers: seed 123); "
        "a support is its largest object, void counts as background",
    }
    seeded: ClassVar[tuple[str, ...]] = ("", *rules)
    protocol: ClassVar[Protocol] = Protocol(formula="A")
    protocols: ClassVar[dict[str, Protocol]] = {
        fss_sam3.RULE: fss_sam3.PROTOCOL,
        _SQUASHED: MATCHER_PROTOCOL,
    }

    def check(self) -> None:
        """Reads the lists and checks that the images and label maps they name exist.

        A complete official VOC2012 without them is accepted too: it is enough for rule "fss-sam3".

        Raises:
            SourceError: as `Benchmark.check`.
        """
        if not is_folder(f"{self._base}/{_MAPS}") and not self._missing_official():
            return
        images = {image for fold in self.folds for image, _ in self._lines(fold)}
        files = {f"JPEGImages/{image}.jpg" for image in images}
        check_files(self._base, files | {f"{_MAPS}{image}.png" for image in images})

    def classes(self, fold: str) -> dict[int, str]:
        """Value in the label maps -> name of the class."""
        first = int(fold) * _IN_FOLD + 1
        return {n: VOC_CLASSES[n - 1] for n in range(first, first + _IN_FOLD)}

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        if sampling.rule == fss_sam3.RULE:
            if missing := self._missing_official():
                raise self._incomplete(" and ".join(missing))
            return self._pools.tasks(int(fold), list(self.classes(fold)), sampling)
        lines = self._lines(fold)
        images = {c: [image for image, of in lines if of == c] for _, c in lines}
        queries = islice(cycle(lines), drawing.EPISODES)
        return drawing.with_examples(
            drawing.draw_for(queries, images, sampling, self._list_of(fold)), self._example
        )

    @cached_property
    def _pools(self) -> fss_sam3.PascalPools:
        return fss_sam3.PascalPools(self._base, read_names(f"{self._base}/{_VAL}"), _CODING)

    def _lines(self, fold: str) -> list[tuple[str, int]]:
        """(image, class) in the order of the fold's list."""
        if not is_folder(f"{self._base}/{_MAPS}"):
            raise self._incomplete(_MAPS)
        url = self._list_of(fold)
        lines = []
        for line in read_lines(url):
            match = _LINE.fullmatch(line)
            if match is None or int(match["class_id"]) not in self.classes(fold):
                raise SourceError(
                    f"{url} has a line {line!r}; each should be like 2007_000033__01, with a class "
                    f"from {min(self.classes(fold))} to {max(self.classes(fold))}"
                )
            lines.append((match["image"], int(match["class_id"])))
        if not lines:
            raise SourceError(f"{url} is empty")
        return lines

    def _list_of(self, fold: str) -> str:
        places = folders_of(self._base, ("splits", "splits/pascal"))
        places.append(f"{self.root}/splits/pascal")
        tried = [f"{place}/val/fold{fold}.txt" for place in dict.fromkeys(places)]
        for url in tried:
            if is_file(url):
                return url
        raise self._incomplete(f"splits/val/fold{fold}.txt", f" (searched: {', '.join(tried)})")

    def _missing_official(self) -> list[str]:
        missing = [name for name in _OFFICIAL if not is_folder(f"{self._base}/{name}")]
        return missing if is_file(f"{self._base}/{_VAL}") else [*missing, _VAL]

    def _example(self, image: str, class_id: int) -> Example:
        key = f"JPEGImages/{image}.jpg"
        labels = f"{self._base}/{_MAPS}{image}.png"
        ground_truth = f"{labels}#label={class_id}&ignore={_VOID}&up_to={len(VOC_CLASSES)}"
        return Example(key, f"{self._base}/{key}", ground_truth)
