"""PASCAL-Part: parts of animals, vehicles and people, in a crop to their object (Matcher)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.annotations.annotations import Category, Collector
from ipseg.benchmarks.annotations.pascal_part_files import (
    GROUPS,
    INDEX,
    OBJECTS,
    collect_pascal_part,
)
from ipseg.benchmarks.datasets.annotated import PART_RULES, AnnotatedBenchmark
from ipseg.benchmarks.layout import nested
from ipseg.errors import SourceError
from ipseg.storage.files import exists

_MOST_EPISODES = 2500


class PascalPartBenchmark(AnnotatedBenchmark):
    """Four folds of classes `object+part`; images of the validation set.

    Classes, named `object+part`, are numbered from 0 across all folds. A fold has as many episodes
    as validation entries, at most 2500, its classes in turn. Query and supports are crops to the
    box of one object. A box smaller than a pixel gives a crop without pixels; such an episode stays
    in the list, on which released loaders fail, and fails when it is read.
    """

    name: ClassVar[str] = "pascal-part"
    title: ClassVar[str] = "PASCAL-Part"
    folds: ClassVar[tuple[str, ...]] = GROUPS
    table_file: ClassVar[str] = "pascal_part.parquet"
    layout: ClassVar[str] = (
        "ROOT/Pascal-Part/VOCdevkit/VOC2010/JPEGImages/<id>.jpg   images of PASCAL VOC 2010\n"
        f"    .../{INDEX} and\n"
        f"    .../{OBJECTS}/<id>.json   of the released loaders, or\n"
        f"    .../{table_file}   made of them by `ipseg data prepare`\n"
        "ROOT may be VOC2010 itself, or the folder above datasets/ or data/."
    )
    rules: ClassVar[dict[str, str]] = PART_RULES
    folders: ClassVar[tuple[str, ...]] = nested(
        "Pascal-Part/VOCdevkit/VOC2010", "VOCdevkit/VOC2010", "VOC2010", ""
    )
    annotation_files: ClassVar[str] = INDEX
    images_of: ClassVar[str] = "PASCAL VOC 2010"
    image_folders: ClassVar[tuple[str, ...]] = folders
    image_parts: ClassVar[tuple[str, ...]] = ("JPEGImages",)
    shot_decides: ClassVar[bool] = False

    def check(self) -> None:
        """As `AnnotatedBenchmark.check`; every fold must have a class, every class two images.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        super().check()
        for fold in self.folds:
            if not self._of_fold(fold):
                raise SourceError(f"{self.title}: no class of fold '{fold}' is in {self.root}")
            self._images(fold)

    def _class_of_each(self, fold: str, draw: np.random.RandomState) -> Iterable[Category]:
        count = sum(len(images) for images in self._images(fold).values())
        return islice(cycle(self._of_fold(fold)), min(count, _MOST_EPISODES))

    def _files(self, folder: str) -> tuple[str, ...]:
        return (url, f"{folder}/{OBJECTS}/") if exists(url := f"{folder}/{INDEX}") else ()

    def _collect(self, files: Sequence[str], images: str, collector: Collector) -> list[Category]:
        return collect_pascal_part(files[0].removesuffix(f"/{INDEX}"), collector, self.progress)

    def _find_image_folder(self) -> str:
        return f"{super()._find_image_folder()}/JPEGImages"

    def _of_fold(self, fold: str) -> list[Category]:
        return [c for c in self._annotations.categories.values() if c.group == fold]

    def _images(self, fold: str) -> dict[str, list[str]]:
        images = {c.name: self._annotations.images(c.class_id) for c in self._of_fold(fold)}
        for name, listed in images.items():
            if len(set(listed)) < 2:
                raise SourceError(
                    f"{self.title}: class {name} has one validation image; it needs another as "
                    "support"
                )
        return images
