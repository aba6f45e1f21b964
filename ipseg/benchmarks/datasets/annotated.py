"""What the benchmarks that are read from a table of annotations have in common."""

from __future__ import annotations

import functools
import logging
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import (
    Annotations,
    Category,
    read_annotations,
    write_annotations,
)
from ipseg.benchmarks.benchmark import Benchmark, Progress, Protocol, Sampling, check_rule
from ipseg.benchmarks.episode import Box, Example
from ipseg.benchmarks.truth import read_truth, rle_address
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.files import exists, is_folder

RESAMPLE = "resample-empty"
_ATTEMPTS = 1000  # at one episode, before a class is taken to have nothing but empty crops

_SEEDS = 2**32  # what NumPy's legacy generator can be seeded with

log = logging.getLogger("ipseg")


class AnnotatedBenchmark(Benchmark):
    """Reads its table, or builds it and keeps it beside the annotations.

    Attributes:
        protocol: as in `Benchmark`.
        table_file: name of the table.
        folders: where below the root it may be.
    """

    protocol: ClassVar[Protocol] = Protocol(formula="A", side=518)  # Matcher's
    table_file: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]

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
        # Few pictures, many draws.
        self._whole = functools.cache(self._read_whole)
        self._object = functools.cache(self._read_object)
        self._shows = functools.cache(_shows_part)

    @abstractmethod
    def _build(self) -> tuple[str, pa.Table]:
        """The table built from annotations, and the folder in which to keep it."""

    @abstractmethod
    def _find_pictures(self) -> str:
        """Folder of pictures below the root; raises SourceError if there is none."""

    def check(self) -> None:
        """Reads the annotations, the first time by building their table, and finds the pictures.

        Raises:
            SourceError: as `Benchmark.check`, or an annotation is malformed.
        """
        if not is_folder(self._pictures):
            raise SourceError(f"{self.title}: no pictures in {self._pictures}")

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
                "%s cannot be kept (%s): annotations will be read again next time; "
                "`ipseg data prepare %s --out DIR` keeps them in DIR, which then is the data root",
                *(url, error, self.name),
            )
        return Annotations(table, url)

    @cached_property
    def _pictures(self) -> str:
        return self._annotations.pictures or self._find_pictures()

    def protocol_of(self, rule: str) -> Protocol:
        """Matcher's; under `RESAMPLE` INSID3's, which compares at 1024 x 1024."""
        return Protocol(formula="A", side=1024) if rule == RESAMPLE else self.protocol

    def _check_sampling(self, sampling: Sampling) -> None:
        check_rule(self, sampling)
        if sampling.shot < 1 or not 0 <= sampling.seed < _SEEDS:
            raise ConfigError(
                f"shot {sampling.shot} and seed {sampling.seed}: shot must be 1 or more, seed "
                f"between 0 and {_SEEDS - 1}"
            )

    def _check_shot(self, sampling: Sampling) -> None:
        if sampling.shot != self.shot:
            raise ConfigError(
                f"{self.name} was opened for {self.shot} shot(s), and its classes depend on it; "
                f"open it with shot={sampling.shot} to sample that many"
            )

    def _read_whole(self, class_id: int, image: str) -> Example:
        """The whole picture, and all of the class in it."""
        rle = self._annotations.mask(class_id, image)
        return Example(image, f"{self._pictures}/{image}", rle_address(rle))

    def _draw_parts(
        self, draw: np.random.RandomState, category: Category, sampling: Sampling
    ) -> tuple[Example, ...]:
        """Query and supports: first all pictures, then an object in each.

        Under `RESAMPLE` pictures and objects are drawn again, the class is not, until every crop
        holds a pixel of the part.
        """
        known = self._annotations.images(category.class_id)
        for _ in range(_ATTEMPTS):
            images = draw_images(draw, known, sampling.shot)
            examples = tuple(self._draw_object(draw, category.class_id, image) for image in images)
            if sampling.rule != RESAMPLE or all(self._shows(example) for example in examples):
                return examples
        raise SourceError(
            f"{self.title}: class {category.name} has hardly a crop that shows it; "
            f"{_ATTEMPTS} draws had an empty one each"
        )

    def _draw_object(self, draw: np.random.RandomState, class_id: int, image: str) -> Example:
        instances = self._annotations.instances(class_id, image)
        return self._object(class_id, image, instances[_index(draw, len(instances))])

    def _read_object(self, class_id: int, image: str, instance: int) -> Example:
        """The box of one object, and what of the class belongs to it."""
        rle = self._annotations.mask(class_id, image, instance)
        height, width = rle["size"]
        box = crop_of(self._annotations.box(class_id, image, instance), height, width)
        key = f"{image}#{','.join(map(str, box))}"
        return Example(key, f"{self._pictures}/{image}", rle_address(rle), box)


def crop_of(box: Sequence[float], height: int, width: int) -> Box:
    """Pixels of a box: corners without their fraction, kept inside of the picture.

    A box that is smaller than a pixel, or lies outside, comes to a crop without pixels
    (x0 == x1 or y0 == y1), as it does in the released loaders, which break there.
    """
    x0, x1 = (min(max(int(x), 0), width) for x in box[0::2])
    y0, y1 = (min(max(int(y), 0), height) for y in box[1::2])
    return x0, y0, max(x0, x1), max(y0, y1)


def draw_images(draw: np.random.RandomState, images: Sequence[str], shot: int) -> list[str]:
    """A query, then supports other than the query; supports may repeat.

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
    """One of some classes."""
    return categories[_index(draw, len(categories))]


def _shows_part(example: Example) -> bool:
    x0, y0, x1, y1 = example.crop or (0, 0, None, None)
    return bool(read_truth(example.truth).mask[y0:y1, x0:x1].any())


def _index(draw: np.random.RandomState, count: int) -> int:
    # Without replacement, which takes other numbers from the stream than with.
    return int(draw.choice(count, 1, replace=False)[0])
