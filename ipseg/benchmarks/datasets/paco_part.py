"""PACO-Part: parts of everyday objects, each in a crop to the box of its object (Matcher)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.annotations.annotations import Category, Collector
from ipseg.benchmarks.annotations.official import collect_paco
from ipseg.benchmarks.annotations.released import collect_released, read_released
from ipseg.benchmarks.datasets.annotated import PART_RULES, AnnotatedBenchmark
from ipseg.benchmarks.datasets.drawing import pick
from ipseg.benchmarks.layout import nested
from ipseg.errors import SourceError
from ipseg.storage.files import exists

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
    table_file: ClassVar[str] = "paco_part_val.parquet"
    layout: ClassVar[str] = (
        "ROOT/PACO-Part/coco/{train2017,val2017}/*.jpg            images of COCO 2017\n"
        "ROOT/PACO-Part/paco/paco_part_{train,val}.pkl            of the released loaders, or\n"
        "ROOT/PACO-Part/paco/paco_lvis_v1_{train,val}.json        of facebookresearch/paco, or\n"
        f"ROOT/PACO-Part/paco/{table_file}                made by `ipseg data prepare`\n"
        "ROOT may be PACO-Part itself, or the folder above datasets/ or data/."
    )
    rules: ClassVar[dict[str, str]] = PART_RULES
    folders: ClassVar[tuple[str, ...]] = nested("PACO-Part/paco", "PACO-Part", "paco", "")
    annotation_files: ClassVar[str] = "annotations, of both train and val,"
    image_folders: ClassVar[tuple[str, ...]] = nested("PACO-Part/coco", "coco", "PACO-Part", "")

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
        return (pick(draw, categories) for _ in range(_EPISODES))

    def _files(self, folder: str) -> tuple[str, ...]:
        names = ("paco_part_{}.pkl", "paco_lvis_v1_{}.json", "annotations/paco_lvis_v1_{}.json")
        pairs = (tuple(f"{folder}/{name.format(s)}" for s in ("train", "val")) for name in names)
        return next((pair for pair in pairs if all(map(exists, pair))), ())

    def _collect(self, files: Sequence[str], images: str, collector: Collector) -> list[Category]:
        train, val = files
        if val.endswith(".json"):
            return collect_paco(train, val, collector, self.progress)
        order = read_released(train)
        kept = {c: entries for c, entries in read_released(val).items() if c in order}
        collect_released(val, kept, collector, images, parts=True)
        return [Category(class_id, str(class_id)) for class_id in order]

    def _of_fold(self, fold: str) -> list[Category]:
        everything = list(self._annotations.categories.values())
        dealt = everything[int(fold) :: _FOLDS][: len(everything) // _FOLDS]
        return [category for category in dealt if self._has_enough(category)]
