"""PASCAL-5i: four folds of five classes of PASCAL VOC 2012 (HSNet's arrangement).

The rule is that of HSNet's loader (repository juhongm999/hsnet, `data/pascal.py`, commit 5ccb58d):
the query of episode i is line i of the fold's list, begun again at its end, with the class on that
line; only the supports are drawn. Nobody published the resulting list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.annotations.label_index import Coding
from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling
from ipseg.benchmarks.datasets.drawing import (
    EPISODES,
    FSS_SAM3,
    UNIQUE_SUPPORTS,
    UNIQUE_SUPPORTS_MEANING,
    check_enough,
    check_request,
    draw_supports,
)
from ipseg.benchmarks.datasets.fss_sam3 import PROTOCOL as FSS_SAM3_PROTOCOL
from ipseg.benchmarks.datasets.fss_sam3 import PascalPools
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import is_file, locate, read_lines, read_names
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder
from ipseg.storage.walk import iterate_files

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
_FOLDS = 4
_IN_FOLD = len(VOC_CLASSES) // _FOLDS
_MAPS = "SegmentationClassAug/"
_VAL = "ImageSets/Segmentation/val.txt"
_OFFICIAL = ("SegmentationClass/", "SegmentationObject/")
_ROOTS = ("", "datasets", "data")
_PLACES = tuple(
    f"{root}/{name}".strip("/") for root in _ROOTS for name in ("", "VOC2012", "VOCdevkit/VOC2012")
)
_LINE = re.compile(r"(?P<image>\d{4}_\d{6})__(?P<class_id>\d{1,2})")


class Pascal5iBenchmark(Benchmark):
    """Classes 1 to 20 as in the label maps; fold f tests 5f + 1 to 5f + 5; void is not judged.

    HSNet counts the classes from 0, which changes nothing but their numbers. A query is never shown
    to itself, but may be a support elsewhere, whatever `Sampling.exclude_prompt` says.
    """

    name: ClassVar[str] = "pascal-5i"
    title: ClassVar[str] = "PASCAL-5i"
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/*.jpg               of VOC2012\n"
        "ROOT/SegmentationClassAug/*.png     label maps, those of SBD added\n"
        "ROOT/splits/val/fold{0..3}.txt      lines 2007_000033__01; repository juhongm999/hsnet,\n"
        "                                    data/splits/pascal; splits/pascal/val/ will do\n"
        f"Rule '{FSS_SAM3}' needs instead, of the official VOC2012, SegmentationClass/,\n"
        f"SegmentationObject/ and {_VAL}.\n"
        "ROOT may also be the folder above VOC2012/, VOCdevkit/, datasets/ or data/."
    )
    rules: ClassVar[dict[str, str]] = {
        UNIQUE_SUPPORTS: UNIQUE_SUPPORTS_MEANING,
        FSS_SAM3: "FSS-SAM3's draws from the official val list (published numbers: seed 123); a "
        "support is its largest object, void counts as background",
    }
    protocol: ClassVar[Protocol] = Protocol(formula="A")

    @property
    def folds(self) -> tuple[str, ...]:
        """0 to 3."""
        return tuple(str(fold) for fold in range(_FOLDS))

    def protocol_of(self, rule: str) -> Protocol:
        """HSNet's; under "fss-sam3" that of FSS-SAM3."""
        return FSS_SAM3_PROTOCOL if rule == FSS_SAM3 else self.protocol

    def check(self) -> None:
        """Reads the lists and looks for the pictures and label maps they name.

        Where the official VOC2012 is complete, nothing else has to be there: rule "fss-sam3" runs.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        if not is_folder(f"{self._base}/{_MAPS}") and not self._lacks_official():
            return
        images = {image for fold in self.folds for image, _ in self._lines(fold)}
        self._check_there("JPEGImages/", {f"{image}.jpg" for image in images})
        self._check_there(_MAPS, {f"{image}.png" for image in images})

    def classes(self, fold: str) -> dict[int, str]:
        """Value in the label maps -> name."""
        first = int(fold) * _IN_FOLD + 1
        return {n: VOC_CLASSES[n - 1] for n in range(first, first + _IN_FOLD)}

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """1000 episodes.

        Raises:
            SourceError: as `Benchmark.episodes`, or what the rule needs is missing.
            ConfigError: a shot or a seed that cannot be.
        """
        check_request(self, fold, sampling)
        classes = self.classes(fold)
        if sampling.rule == FSS_SAM3:
            if missing := self._lacks_official():
                raise SourceError(self._incomplete(" and ".join(missing)))
            return self._pools.episodes(int(fold), classes, sampling)
        lines = self._lines(fold)
        images = {c: [image for image, of in lines if of == c] for c in classes}
        for class_id in dict.fromkeys(class_id for _, class_id in lines):
            where = f"{self._list_of(fold)}: class {class_id}"
            check_enough(images[class_id], sampling, where)
        stream = np.random.RandomState(sampling.seed)
        episodes = []
        for number in range(EPISODES):
            query, class_id = lines[number % len(lines)]
            supports = draw_supports(stream, images[class_id], query, sampling)
            episodes.append(
                Episode(
                    number,
                    fold,
                    class_id,
                    classes[class_id],
                    self._example(query, class_id),
                    tuple(self._example(support, class_id) for support in supports),
                    sampling.seed,
                )
            )
        return episodes

    @cached_property
    def _base(self) -> str:
        return locate(self.root, _PLACES, ["JPEGImages/"], title=self.title, layout=self.layout)

    @cached_property
    def _pools(self) -> PascalPools:
        return PascalPools(self._base, read_names(f"{self._base}/{_VAL}"), _CODING)

    def _lines(self, fold: str) -> list[tuple[str, int]]:
        """(image, class) in the order of the fold's list."""
        if not is_folder(f"{self._base}/{_MAPS}"):
            raise SourceError(self._incomplete(_MAPS))
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
        places = (
            f"{self._base}/splits",
            f"{self._base}/splits/pascal",
            f"{self.root}/splits/pascal",
        )
        tried = [f"{place}/val/fold{fold}.txt" for place in dict.fromkeys(places)]
        for url in tried:
            if is_file(url):
                return url
        raise SourceError(self._incomplete(f"splits/val/fold{fold}.txt", tried))

    def _lacks_official(self) -> list[str]:
        lacking = [name for name in _OFFICIAL if not is_folder(f"{self._base}/{name}")]
        return lacking if is_file(f"{self._base}/{_VAL}") else [*lacking, _VAL]

    def _incomplete(self, missing: str, tried: Sequence[str] = ()) -> str:
        places = f" (looked for: {', '.join(tried)})" if tried else ""
        return (
            f"{self.title} is not complete: no {missing} in {self._base}{places}; "
            f"it needs\n{self.layout}"
        )

    def _check_there(self, folder: str, names: set[str]) -> None:
        there = {name for name, _, _ in iterate_files(f"{self._base}/{folder}")}
        if lacking := sorted(names - there):
            raise SourceError(
                f"{self._base}/{folder}{lacking[0]} is missing, which the lists need "
                f"({len(lacking)} of {len(names)} files in {folder} are not there)"
            )

    def _example(self, image: str, class_id: int) -> Example:
        key = f"JPEGImages/{image}.jpg"
        truth = f"{self._base}/{_MAPS}{image}.png#label={class_id}&ignore={_VOID}"
        return Example(key, f"{self._base}/{key}", truth)
