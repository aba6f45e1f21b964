"""The common base of benchmarks that are read from a table of annotations."""

from __future__ import annotations

import functools
import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import (
    Annotations,
    Category,
    read_annotations,
    save_annotations,
    write_annotations,
)
from ipseg.benchmarks.benchmark import PreparedBenchmark, Progress, Protocol, Sampling, check_rule
from ipseg.benchmarks.episode import Box, Episode, Example
from ipseg.benchmarks.ground_truth import read_ground_truth, rle_address
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.files import exists, is_folder

RESAMPLE = "resample-empty"
PART_RULES = {
    RESAMPLE: "INSID3's: repeats a draw until every crop contains the part, which changes all "
    "later episodes"
}
_ATTEMPTS = 1000  # draws for one episode, before a class counts as having only empty crops

_SEEDS = 2**32  # seeds of NumPy's legacy generator are below this

log = logging.getLogger("ipseg")


class AnnotatedBenchmark(PreparedBenchmark):
    """Reads its table, or builds it and saves it next to the annotations.

    Attributes:
        protocol: as in `Benchmark`.
        table_file: name of the table.
        folders: candidate folders for it, below the root.
        shot_decides: whether the classes of a fold depend on the shot.
    """

    protocol: ClassVar[Protocol] = Protocol(formula="A", side=518)  # Matcher's
    table_file: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    shot_decides: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        *,
        shot: int = 1,
        cache: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """As `Benchmark`; a class needs more images than `shot`."""
        super().__init__(root, shot=shot, cache=cache, progress=progress)
        # Few images, many draws: examples are made once.
        self._whole = functools.cache(self._read_whole)
        self._object = functools.cache(self._read_object)
        self._has_part = functools.cache(_contains_part)

    @abstractmethod
    def _build(self) -> tuple[str, pa.Table]:
        """Builds the table from annotations; returns the folder to save it in, and the table."""

    @abstractmethod
    def _find_image_folder(self) -> str:
        """The folder of images below the root; raises SourceError if there is none."""

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

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """Draws the images of query and supports for each; see the class.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: shot is below 1, or another than the data set was opened with if its
                classes depend on it, or a seed that NumPy's legacy generator does not take.
        """
        self._check_sampling(sampling)
        draw = np.random.RandomState(sampling.seed)
        episodes = []
        for number, category in enumerate(self._class_of_each(fold, draw)):
            query, *supports = self._draw_examples(draw, category, sampling)
            episodes.append(
                Episode(
                    *(number, fold, category.class_id, category.name),
                    *(query, tuple(supports), sampling.seed),
                )
            )
        return episodes

    def prepare(self, out: str | None = None) -> list[str]:
        """As `PreparedBenchmark.prepare`: builds the table again and writes it."""
        folder, table = self._build()
        image_folder = self._find_image_folder()
        return save_annotations(table, self.table_file, folder, out, image_folder)

    @cached_property
    def _annotations(self) -> Annotations:
        for folder in (f"{self.root}/{name}".rstrip("/") for name in self.folders):
            if exists(url := f"{folder}/{self.table_file}"):
                return read_annotations(url)
        folder, table = self._build()
        url = f"{folder}/{self.table_file}"
        try:
            write_annotations(url, table)
        except OSError as error:
            log.warning(
                "%s cannot be saved (%s): annotations will be read again next time; "
                "`ipseg data prepare %s --out DIR` saves them in DIR, which is then the data root",
                *(url, error, self.name),
            )
        return Annotations(table, url)

    @cached_property
    def _image_folder(self) -> str:
        return self._annotations.image_folder or self._find_image_folder()

    def protocol_of(self, rule: str) -> Protocol:
        """Matcher's; for `RESAMPLE` INSID3's, which compares at 1024 x 1024."""
        return Protocol(formula="A", side=1024) if rule == RESAMPLE else self.protocol

    def _check_sampling(self, sampling: Sampling) -> None:
        check_rule(self, sampling)
        if sampling.shot < 1 or not 0 <= sampling.seed < _SEEDS:
            raise ConfigError(
                f"shot {sampling.shot} and seed {sampling.seed}: shot must be 1 or more, seed "
                f"between 0 and {_SEEDS - 1}"
            )
        if self.shot_decides and sampling.shot != self.shot:
            raise ConfigError(
                f"{self.name} was opened with shot={self.shot}, on which its classes depend; "
                f"open it with shot={sampling.shot} instead"
            )

    def _read_whole(self, class_id: int, image: str) -> Example:
        """A whole image with all objects of the class."""
        rle = self._annotations.mask(class_id, image)
        return Example(image, f"{self._image_folder}/{image}", rle_address(rle))

    def _draw_examples(
        self, draw: np.random.RandomState, category: Category, sampling: Sampling
    ) -> tuple[Example, ...]:
        """Query and supports, crops to objects: draws all images first, then an object in each.

        `RESAMPLE` repeats the draws of images and objects, not that of the class, until every crop
        contains a pixel of the part.
        """
        known = self._annotations.images(category.class_id)
        for _ in range(_ATTEMPTS):
            images = draw_images(draw, known, sampling.shot)
            examples = tuple(self._draw_object(draw, category.class_id, image) for image in images)
            if sampling.rule != RESAMPLE or all(self._has_part(example) for example in examples):
                return examples
        raise SourceError(
            f"{self.title}: hardly any crop contains class {category.name}; each of "
            f"{_ATTEMPTS} draws had an empty one"
        )

    def _draw_object(self, draw: np.random.RandomState, class_id: int, image: str) -> Example:
        instances = self._annotations.instances(class_id, image)
        return self._object(class_id, image, instances[_index(draw, len(instances))])

    def _read_object(self, class_id: int, image: str, instance: int) -> Example:
        """A crop to the box of one object, with the part of the class that belongs to it."""
        rle = self._annotations.mask(class_id, image, instance)
        height, width = rle["size"]
        box = crop_of(self._annotations.box(class_id, image, instance), height, width)
        key = f"{image}#{','.join(map(str, box))}"
        return Example(key, f"{self._image_folder}/{image}", rle_address(rle), box)


def crop_of(box: Sequence[float], height: int, width: int) -> Box:
    """The crop of a box: corners truncated to whole pixels and clipped to the image.

    A box smaller than a pixel, or outside of the image, gives a crop without pixels (x0 == x1 or
    y0 == y1), as in the released loaders, which fail there.
    """
    x0, x1 = (min(max(int(x), 0), width) for x in box[0::2])
    y0, y1 = (min(max(int(y), 0), height) for y in box[1::2])
    return x0, y0, max(x0, x1), max(y0, y1)


def draw_images(draw: np.random.RandomState, images: Sequence[str], shot: int) -> list[str]:
    """Draws a query, then supports other than the query; supports may repeat.

    Args:
        draw: NumPy's legacy generator.
        images: to draw from; at least two different ones.
        shot: number of supports.
    """
    query = images[_index(draw, len(images))]
    chosen = [query]
    while len(chosen) <= shot:
        if (image := images[_index(draw, len(images))]) != query:
            chosen.append(image)
    return chosen


def draw_category(draw: np.random.RandomState, categories: Sequence[Category]) -> Category:
    """Draws a class."""
    return categories[_index(draw, len(categories))]


def _contains_part(example: Example) -> bool:
    x0, y0, x1, y1 = example.crop or (0, 0, None, None)
    return bool(read_ground_truth(example.ground_truth).mask[y0:y1, x0:x1].any())


def _index(draw: np.random.RandomState, count: int) -> int:
    # Without replacement, which changes the state of the generator in another way than with.
    return int(draw.choice(count, 1, replace=False)[0])
