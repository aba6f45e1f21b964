"""LVIS-92i: 920 classes of everyday things in ten folds, few images each (Matcher, ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.annotations.annotations import Category, Collector
from ipseg.benchmarks.annotations.official import collect_lvis
from ipseg.benchmarks.annotations.released import collect_released, read_released
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.annotated import AnnotatedBenchmark
from ipseg.benchmarks.datasets.drawing import draw_images
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import nested
from ipseg.errors import SourceError
from ipseg.storage.files import exists

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
    table_file: ClassVar[str] = "lvis_val.parquet"
    layout: ClassVar[str] = (
        "ROOT/LVIS/coco/{train2017,val2017}/*.jpg   images of COCO 2017\n"
        "ROOT/LVIS/lvis_val.pkl                   of the released loaders, or\n"
        "ROOT/LVIS/lvis_v1_val.json               from lvisdataset.org, or\n"
        f"ROOT/LVIS/{table_file}               made from one of them by `ipseg data prepare`\n"
        "ROOT may be LVIS itself, or the folder above datasets/ or data/."
    )
    folders: ClassVar[tuple[str, ...]] = nested("LVIS", "")
    image_folders: ClassVar[tuple[str, ...]] = nested("LVIS/coco", "coco", "LVIS", "")

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
        images = draw_images(draw, self._annotations.images(category.class_id), sampling)
        return tuple(self._example(category.class_id, image) for image in images)

    def _files(self, folder: str) -> tuple[str, ...]:
        names = ("lvis_val.pkl", "lvis_v1_val.json", "annotations/lvis_v1_val.json")
        return next(((url,) for name in names if exists(url := f"{folder}/{name}")), ())

    def _collect(self, files: Sequence[str], images: str, collector: Collector) -> list[Category]:
        (url,) = files
        if url.endswith(".pkl"):
            return collect_released(url, read_released(url), collector, images, parts=False)
        return collect_lvis(url, collector, self.progress)

    @cached_property
    def _kept(self) -> list[Category]:
        return [each for each in self._annotations.categories.values() if self._has_enough(each)]

    def _of_fold(self, fold: str) -> list[Category]:
        return self._kept[int(fold) :: _FOLDS][: len(self._kept) // _FOLDS]
