"""PACO-Part: parts of everyday objects, each in a crop to the box of its object (Matcher)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import Category
from ipseg.benchmarks.annotations.prepare_lvis import find_image_folder
from ipseg.benchmarks.annotations.prepare_parts import (
    PACO_FOLDERS,
    PACO_IMAGE_FOLDERS,
    PACO_LAYOUT,
    PACO_TABLE,
    build_paco_part,
)
from ipseg.benchmarks.datasets.annotated import PART_RULES, AnnotatedBenchmark, draw_category
from ipseg.errors import SourceError

_FOLDS = 4
_EPISODES = 2500


class PacoPartBenchmark(AnnotatedBenchmark):
    """Part classes of the training set, dealt to four folds in turn; validation images.

    A class is used if it has more validation images than shots, so the classes of a fold depend on
    the shot, which is given when the data set is opened; `episodes` refuses another one.

    Each of 2500 episodes draws a class, the images of query and supports, then an object in each.
    Query and supports are crops to the box of one object. A box smaller than a pixel gives a crop
    without pixels; such an episode stays in the list, on which released loaders fail, and fails
    when it is read.
    """

    name: ClassVar[str] = "paco-part"
    title: ClassVar[str] = "PACO-Part"
    folds: ClassVar[tuple[str, ...]] = tuple(str(fold) for fold in range(_FOLDS))
    layout: ClassVar[str] = PACO_LAYOUT
    rules: ClassVar[dict[str, str]] = PART_RULES
    table_file: ClassVar[str] = PACO_TABLE
    folders: ClassVar[tuple[str, ...]] = PACO_FOLDERS

    def check(self) -> None:
        """As `AnnotatedBenchmark.check`; every fold must have a class.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        super().check()
        for fold in self.folds:
            if not self._of_fold(fold):
                raise SourceError(
                    f"{self.title}: no class of fold {fold} has more than {self.shot} image(s)"
                )

    def _class_of_each(self, fold: str, draw: np.random.RandomState) -> Iterable[Category]:
        categories = self._of_fold(fold)
        return (draw_category(draw, categories) for _ in range(_EPISODES))

    def _build(self) -> tuple[str, pa.Table]:
        return build_paco_part(self.root, self._progress)

    def _find_image_folder(self) -> str:
        return find_image_folder(self.root, PACO_IMAGE_FOLDERS)

    def _of_fold(self, fold: str) -> list[Category]:
        annotations = self._annotations
        everything = list(annotations.categories.values())
        dealt = everything[int(fold) :: _FOLDS][: len(everything) // _FOLDS]
        return [
            category for category in dealt if len(annotations.images(category.class_id)) > self.shot
        ]
