"""PASCAL-Part: parts of animals, vehicles and people, in a crop to their object (Matcher)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, islice
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import Category
from ipseg.benchmarks.annotations.pascal_part_files import GROUPS
from ipseg.benchmarks.annotations.prepare_parts import (
    PASCAL_FOLDERS,
    PASCAL_LAYOUT,
    PASCAL_TABLE,
    build_pascal_part,
    find_pascal_images,
)
from ipseg.benchmarks.datasets.annotated import PART_RULES, AnnotatedBenchmark
from ipseg.errors import SourceError

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
    layout: ClassVar[str] = PASCAL_LAYOUT
    rules: ClassVar[dict[str, str]] = PART_RULES
    table_file: ClassVar[str] = PASCAL_TABLE
    folders: ClassVar[tuple[str, ...]] = PASCAL_FOLDERS
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

    def _build(self) -> tuple[str, pa.Table]:
        return build_pascal_part(self.root, self._progress)

    def _find_image_folder(self) -> str:
        return find_pascal_images(self.root)

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
