"""PASCAL-Part: parts of animals, vehicles and people, in a crop to their object (Matcher)."""

from __future__ import annotations

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
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.annotated import RESAMPLE, AnnotatedBenchmark
from ipseg.benchmarks.episode import Episode
from ipseg.errors import SourceError

_MOST_EPISODES = 2500


class PascalPartBenchmark(AnnotatedBenchmark):
    """Four folds of classes `object+part`; images of the validation set.

    Classes are numbered from 0 across all folds. Query and supports are crops to the box of one
    object. A box smaller than a pixel gives a crop without pixels; such an episode stays in the
    list, on which released loaders fail, and fails when it is read.
    """

    name: ClassVar[str] = "pascal-part"
    title: ClassVar[str] = "PASCAL-Part"
    layout: ClassVar[str] = PASCAL_LAYOUT
    rules: ClassVar[dict[str, str]] = {
        RESAMPLE: "INSID3's: repeats a draw until every crop contains the part, which changes all "
        "later episodes"
    }
    table_file: ClassVar[str] = PASCAL_TABLE
    folders: ClassVar[tuple[str, ...]] = PASCAL_FOLDERS

    @property
    def folds(self) -> tuple[str, ...]:
        """The superclasses."""
        return GROUPS

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

    def classes(self, fold: str) -> dict[int, str]:
        """Number across all folds -> `object+part`."""
        return {category.class_id: category.name for category in self._of_fold(fold)}

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """As many as the fold has validation entries, at most 2500; classes in turn.

        For each, draws the images of query and supports, then an object in each.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: shot is below 1, or a seed that NumPy's legacy generator does not take.
        """
        self._check_sampling(sampling)
        draw = np.random.RandomState(sampling.seed)
        categories = self._of_fold(fold)
        count = sum(len(images) for images in self._images(fold).values())
        episodes = []
        for number in range(min(count, _MOST_EPISODES)):
            category = categories[number % len(categories)]
            query, *supports = self._draw_parts(draw, category, sampling)
            episodes.append(
                Episode(
                    *(number, fold, category.class_id, category.name),
                    *(query, tuple(supports), sampling.seed),
                )
            )
        return episodes

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
