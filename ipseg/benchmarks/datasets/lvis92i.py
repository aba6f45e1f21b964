"""LVIS-92i: 920 classes of everyday things in ten folds, few images each (Matcher, ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import Category
from ipseg.benchmarks.annotations.prepare_lvis import (
    FOLDERS,
    IMAGE_FOLDERS,
    LAYOUT,
    TABLE,
    build,
    find_image_folder,
)
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.annotated import AnnotatedBenchmark, draw_images
from ipseg.benchmarks.episode import Example
from ipseg.errors import SourceError

_FOLDS = 10
_EPISODES_OF_CLASS = 25


class Lvis92iBenchmark(AnnotatedBenchmark):
    """Classes of the validation set with more images than shots, dealt to ten folds in turn.

    So the classes of a fold depend on the shot, which is given when the data set is opened;
    `episodes` refuses another one. Each class has 25 episodes, taking turns with the other classes
    of the fold (2300 episodes of 92 classes in the full data set at one shot). Classes and images
    are in the order of the released pickle if the annotations were made from it.
    """

    name: ClassVar[str] = "lvis-92i"
    title: ClassVar[str] = "LVIS-92i"
    folds: ClassVar[tuple[str, ...]] = tuple(str(fold) for fold in range(_FOLDS))
    layout: ClassVar[str] = LAYOUT
    table_file: ClassVar[str] = TABLE
    folders: ClassVar[tuple[str, ...]] = FOLDERS

    def check(self) -> None:
        """As `AnnotatedBenchmark.check`; there must be a class for every fold.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        super().check()
        if len(self._kept) < _FOLDS:
            raise SourceError(
                f"{self.title}: {len(self._kept)} classes have more than {self.shot} image(s); "
                f"{_FOLDS} folds need {_FOLDS} or more"
            )

    def _class_of_each(self, fold: str, draw: np.random.RandomState) -> Iterable[Category]:
        return self._of_fold(fold) * _EPISODES_OF_CLASS

    def _draw_examples(
        self, draw: np.random.RandomState, category: Category, sampling: Sampling
    ) -> tuple[Example, ...]:
        """Whole images, drawn as in COCO-20i."""
        images = draw_images(draw, self._annotations.images(category.class_id), sampling.shot)
        return tuple(self._whole(category.class_id, image) for image in images)

    def _build(self) -> tuple[str, pa.Table]:
        return build(self.root, self._progress)

    def _find_image_folder(self) -> str:
        return find_image_folder(self.root, IMAGE_FOLDERS)

    @cached_property
    def _kept(self) -> list[Category]:
        annotations = self._annotations
        return [
            category
            for class_id, category in annotations.categories.items()
            if len(annotations.images(class_id)) > self.shot
        ]

    def _of_fold(self, fold: str) -> list[Category]:
        return self._kept[int(fold) :: _FOLDS][: len(self._kept) // _FOLDS]
