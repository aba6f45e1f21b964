"""LVIS-92i: 920 classes of everyday things in ten folds, few images each (Matcher, ICLR 2024)."""

from __future__ import annotations

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
from ipseg.benchmarks.episode import Episode
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
    layout: ClassVar[str] = LAYOUT
    table_file: ClassVar[str] = TABLE
    folders: ClassVar[tuple[str, ...]] = FOLDERS

    @property
    def folds(self) -> tuple[str, ...]:
        """Ten, by number."""
        return tuple(str(fold) for fold in range(_FOLDS))

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

    def classes(self, fold: str) -> dict[int, str]:
        """The classes of the fold at this shot, with LVIS' ids."""
        return {category.class_id: category.name for category in self._of_fold(fold)}

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """Classes in turn; query and supports are drawn as in COCO-20i.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: another shot than the data set was opened with, or a seed that NumPy's
                legacy generator does not take.
        """
        self._check_sampling(sampling)
        self._check_shot(sampling)
        draw = np.random.RandomState(sampling.seed)
        categories = self._of_fold(fold)
        episodes = []
        for number in range(len(categories) * _EPISODES_OF_CLASS):
            category = categories[number % len(categories)]
            images = draw_images(draw, self._annotations.images(category.class_id), self.shot)
            query, *supports = (self._whole(category.class_id, image) for image in images)
            episodes.append(
                Episode(
                    *(number, fold, category.class_id, category.name),
                    *(query, tuple(supports), sampling.seed),
                )
            )
        return episodes

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
