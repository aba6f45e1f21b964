"""PACO-Part: parts of everyday objects, each in a crop to the box of its object (Matcher)."""

from __future__ import annotations

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
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.annotated import RESAMPLE, AnnotatedBenchmark, draw_category
from ipseg.benchmarks.episode import Episode
from ipseg.errors import SourceError

_FOLDS = 4
_EPISODES = 2500


class PacoPartBenchmark(AnnotatedBenchmark):
    """Part classes of the training set, dealt to four folds in turn; validation images.

    A class is used if it has more validation images than shots, so the classes of a fold depend on
    the shot, which is given when the data set is opened; `episodes` refuses another one.

    Query and supports are crops to the box of one object. A box smaller than a pixel gives a crop
    without pixels; such an episode stays in the list, on which released loaders fail, and fails
    when it is read.
    """

    name: ClassVar[str] = "paco-part"
    title: ClassVar[str] = "PACO-Part"
    layout: ClassVar[str] = PACO_LAYOUT
    rules: ClassVar[dict[str, str]] = {
        RESAMPLE: "INSID3's: repeats a draw until every crop contains the part, which changes all "
        "later episodes"
    }
    table_file: ClassVar[str] = PACO_TABLE
    folders: ClassVar[tuple[str, ...]] = PACO_FOLDERS

    @property
    def folds(self) -> tuple[str, ...]:
        """Four, by number."""
        return tuple(str(fold) for fold in range(_FOLDS))

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

    def classes(self, fold: str) -> dict[int, str]:
        """The classes of the fold at this shot, with PACO's ids."""
        return {category.class_id: category.name for category in self._of_fold(fold)}

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """For each of 2500, draws a class, the images of query and supports, an object in each.

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
        for number in range(_EPISODES):
            category = draw_category(draw, categories)
            query, *supports = self._draw_parts(draw, category, sampling)
            episodes.append(
                Episode(
                    *(number, fold, category.class_id, category.name),
                    *(query, tuple(supports), sampling.seed),
                )
            )
        return episodes

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
