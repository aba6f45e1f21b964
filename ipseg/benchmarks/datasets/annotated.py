"""The common base of benchmarks that are read from a table of annotations."""

from __future__ import annotations

import functools
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import (
    Annotations,
    Category,
    Collector,
    read_annotations,
    save_annotations,
)
from ipseg.benchmarks.annotations.origin import Origin
from ipseg.benchmarks.benchmark import PreparedBenchmark, Sampling, Task
from ipseg.benchmarks.datasets.drawing import draw_images, pick
from ipseg.benchmarks.episode import Box, Example
from ipseg.benchmarks.ground_truth import read_ground_truth, rle_address
from ipseg.benchmarks.layout import folders_of
from ipseg.benchmarks.protocol import MATCHER_PROTOCOL, Protocol
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.files import exists, is_folder
from ipseg.storage.tables import write_table

RESAMPLE = "resample-empty"
PART_RULES = {
    RESAMPLE: "INSID3's: repeats a draw until every crop contains the part, which changes all "
    "later episodes"
}
_ATTEMPTS = 1000  # draws for one episode, before a class counts as having only empty crops

log = logging.getLogger("ipseg")


class AnnotatedBenchmark(PreparedBenchmark):
    """Reads its table, or builds it and saves it next to the annotations.

    A table that was made from other annotations than there are now is built again; where it was
    written elsewhere and the annotations it was made from have changed, it is refused.

    Records that cannot be used, and images without file, are left out and counted, except from
    lists of the releases (`Collector.released`), on which published draws depend.

    Draws the images of query and supports for each episode. A class needs more images than shots.

    Attributes:
        table_file: name of the table.
        folders: candidate folders for it and the annotations, below the root.
        annotation_files: what the annotations are called in errors.
        images_of: the data set that the images are from.
        image_folders: candidate folders of the images, below the root.
        image_parts: the folder of the images has one of these folders in it.
        shot_decides: whether the classes of a fold depend on the shot.
    """

    seeded: ClassVar[tuple[str, ...]] = ("", RESAMPLE)
    protocol: ClassVar[Protocol] = MATCHER_PROTOCOL
    protocols: ClassVar[dict[str, Protocol]] = {RESAMPLE: Protocol(formula="A", side=1024)}
    table_file: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    annotation_files: ClassVar[str] = "annotations"
    images_of: ClassVar[str] = "COCO 2017"
    image_folders: ClassVar[tuple[str, ...]]
    image_parts: ClassVar[tuple[str, ...]] = ("val2017", "train2017")
    shot_decides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        # Few images, many draws: examples are made once.
        self._example = functools.cache(self._read_example)
        self._has_part = functools.cache(_contains_part)

    @abstractmethod
    def _files(self, folder: str) -> tuple[str, ...]:
        """The annotations in a folder, as for `Origin`; none if there are none."""

    @abstractmethod
    def _collect(self, files: Sequence[str], images: str, collector: Collector) -> list[Category]:
        """Adds all masks of annotations, with this folder of images; returns the classes."""

    @abstractmethod
    def _of_fold(self, fold: str) -> list[Category]:
        """The classes of a fold, in order."""

    @abstractmethod
    def _class_of_each(self, fold: str, draw: np.random.RandomState) -> Iterable[Category]:
        """The class of each episode; lazy if it draws, because images are drawn in between."""

    def check(self) -> None:
        """Reads the annotations (builds their table the first time) and finds the images.

        Raises:
            SourceError: as `Benchmark.check`, or an annotation is malformed.
        """
        if not is_folder(self._image_folder):
            raise SourceError(f"{self.title}: no images in {self._image_folder}")

    def classes(self, fold: str) -> dict[int, str]:
        """The classes of the fold (at the shot it was opened with), by ids of the data set."""
        return {category.class_id: category.name for category in self._of_fold(fold)}

    def check_sampling(self, fold: str, sampling: Sampling) -> None:
        """See `Benchmark.check_sampling`; if `shot_decides`, also another shot than opened with."""
        super().check_sampling(fold, sampling)
        if self.shot_decides and sampling.shot != self.shot:
            raise ConfigError(
                f"{self.name} was opened with shot={self.shot}, on which its classes depend; "
                f"open it with shot={sampling.shot} instead"
            )

    def prepare(self, out: str | None = None) -> list[str]:
        """As `PreparedBenchmark.prepare`: builds the table again and writes it."""
        image_folder = self._find_image_folder()
        folder, table = self._build(image_folder)
        self._usable(Annotations(table, folder), image_folder)
        return save_annotations(table, self.table_file, folder, out, image_folder)

    def _tasks(self, fold: str, sampling: Sampling) -> Iterator[Task]:
        draw = np.random.RandomState(sampling.seed)
        for category in self._class_of_each(fold, draw):
            query, *supports = self._draw_examples(draw, category, sampling)
            yield category.class_id, query, supports

    def _find_image_folder(self) -> str:
        """The folder of images below the root; raises SourceError if there is none."""
        tried = folders_of(self.root, self.image_folders)
        for folder in tried:
            if any(is_folder(f"{folder}/{name}") for name in self.image_parts):
                return folder
        raise SourceError(
            f"no images of {self.images_of}: no folder {' or '.join(self.image_parts)} in "
            f"{', '.join(tried)}"
        )

    def _build(self, image_folder: str) -> tuple[str, pa.Table]:
        """Builds the table from annotations; returns the folder to save it in, and the table."""
        folder, files = self._found
        if not files:
            raise SourceError(
                f"{self.title}: no {self.annotation_files} in {self.root}; it needs\n{self.layout}"
            )
        origin, collector = Origin.of(files), Collector(self.dropped)
        return folder, collector.table(self._collect(files, image_folder, collector), origin)

    @property
    def _found(self) -> tuple[str, tuple[str, ...]]:
        """The first folder with annotations, and these; both empty if there are none."""
        found = ((folder, self._files(folder)) for folder in folders_of(self.root, self.folders))
        return next((each for each in found if each[1]), ("", ()))

    @cached_property
    def _annotations(self) -> Annotations:
        folder, files = self._found
        tables = [f"{place}/{self.table_file}" for place in folders_of(self.root, self.folders)]
        for url in filter(exists, tables):
            saved = read_annotations(url)
            made_from = ", ".join(files or saved.origin.files)
            if not saved.origin.changed(files):
                self.dropped.restore(saved.dropped)
                return self._usable(saved, saved.image_folder or self._find_image_folder())
            if not files:
                raise SourceError(
                    f"{url} was made from {made_from}, which changed since; run `ipseg data "
                    f"prepare {self.name} --data-root DIR --out {url.rpartition('/')[0]}` again"
                )
            log.warning("%s is of other annotations than %s: it is made again", url, made_from)
        image_folder = self._find_image_folder()
        folder, table = self._build(image_folder)
        url = f"{folder}/{self.table_file}"
        try:
            write_table(url, table)
        except OSError as error:
            log.warning(
                "%s cannot be saved (%s): annotations will be read again next time; "
                "`ipseg data prepare %s --out DIR` saves them in DIR, which is then the data root",
                *(url, error, self.name),
            )
        return self._usable(Annotations(table, url), image_folder)

    def _usable(self, annotations: Annotations, image_folder: str) -> Annotations:
        """Without images that have no file, unless the list of images is a published one."""
        if annotations.released:
            return annotations
        return annotations.without(self.dropped.missing(image_folder, annotations.names))

    def _has_enough(self, category: Category) -> bool:
        """Whether there are more images than shots.

        Raises:
            SourceError: there are not, because of what was left out: all folds would change.
        """
        left = len(self._annotations.images(category.class_id))
        lost = self._annotations.lost[category.class_id]
        if left <= self.shot < left + lost:
            raise SourceError(
                f"{self.title}: of {left + lost} images of class {category.name} only {left} can "
                f"be used, and folds without this class would be others; repair the annotations: "
                f"{self.dropped.listed[0]['example']}"
            )
        return left > self.shot

    @cached_property
    def _image_folder(self) -> str:
        return self._annotations.image_folder or self._find_image_folder()

    def _draw_examples(
        self, draw: np.random.RandomState, category: Category, sampling: Sampling
    ) -> tuple[Example, ...]:
        """Query and supports, crops to objects: draws all images first, then an object in each.

        `RESAMPLE` repeats the draws of images and objects, not that of the class, until every crop
        contains a pixel of the part.
        """
        known, class_id = self._annotations, category.class_id
        for _ in range(_ATTEMPTS):
            examples = tuple(
                self._example(class_id, image, pick(draw, known.instances(class_id, image)))
                for image in draw_images(draw, known.images(class_id), sampling)
            )
            if sampling.rule != RESAMPLE or all(self._has_part(example) for example in examples):
                return examples
        raise SourceError(
            f"{self.title}: hardly any crop contains class {category.name}; each of "
            f"{_ATTEMPTS} draws had an empty one"
        )

    def _read_example(self, class_id: int, image: str, instance: int | None = None) -> Example:
        """A whole image with all of the class, or a crop to the box of one object with its part."""
        rle = self._annotations.mask(class_id, image, instance)
        address, ground_truth = f"{self._image_folder}/{image}", rle_address(rle)
        if instance is None:
            return Example(image, address, ground_truth)
        box = crop_of(self._annotations.box(class_id, image, instance), *rle["size"])
        return Example(f"{image}#{','.join(map(str, box))}", address, ground_truth, box)


def crop_of(box: Sequence[float], height: int, width: int) -> Box:
    """The crop of a box: corners truncated to whole pixels and clipped to the image.

    A box smaller than a pixel, or outside of the image, gives a crop without pixels (x0 == x1 or
    y0 == y1), as in the released loaders, which fail there.
    """
    x0, x1 = (min(max(int(x), 0), width) for x in box[0::2])
    y0, y1 = (min(max(int(y), 0), height) for y in box[1::2])
    return x0, y0, max(x0, x1), max(y0, y1)


def _contains_part(example: Example) -> bool:
    x0, y0, x1, y1 = example.crop or (0, 0, None, None)
    return bool(read_ground_truth(example.ground_truth).mask[y0:y1, x0:x1].any())
