"""PerSeg: forty objects with a few images each (PerSAM, ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import ClassImages, paired_images, tasks_by_class
from ipseg.benchmarks.datasets.references import REFERENCE_LIST, by_name, read_references
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import is_file
from ipseg.benchmarks.protocol import IPSEG_PROTOCOL, Protocol
from ipseg.errors import SourceError

FIRST = "00"  # name of the reference image in each folder
_IPSEG_RULE = "ipseg"


class PersegBenchmark(Benchmark):
    """The reference of each object is its image 00; objects are numbered by name.

    More shots add the next images by name. Episodes are in the order of objects, then of queries by
    name.
    """

    name: ClassVar[str] = "perseg"
    title: ClassVar[str] = "PerSeg"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg        ROOT may also be the folder above data/\n"
        "ROOT/Annotations/<object>/{00..}.png   grey above zero is the object\n"
        "ROOT/ref_composed.txt                  optional, for rule 'ipseg': '<object> <name>'\n"
        "Get it from the repository ZrrSkywalker/Personalize-SAM."
    )
    places: ClassVar[tuple[str, ...]] = ("", "data")
    needed: ClassVar[tuple[str, ...]] = ("Images/", "Annotations/")
    rules: ClassVar[dict[str, str]] = {
        _IPSEG_RULE: "IPSeg's evaluation: mean over all images at 1024 x 1024, including the "
        "reference; references from ref_composed.txt if it exists"
    }
    one_shot: ClassVar[tuple[str, ...]] = (_IPSEG_RULE,)
    protocol: ClassVar[Protocol] = Protocol(formula="P")
    protocols: ClassVar[dict[str, Protocol]] = {_IPSEG_RULE: IPSEG_PROTOCOL}
    formulas: ClassVar[tuple[str, ...]] = ("P", "A", "A'", "B")

    def check(self) -> None:
        """Lists the folders; every object needs an image 00, every image a mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        first_by_name(self._images, 1)

    def classes(self, fold: str) -> dict[int, str]:
        """Objects numbered by name -> name of the folder."""
        return dict(enumerate(self._images))

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        released = sampling.rule == _IPSEG_RULE
        if released and is_file(f"{self._base}/{REFERENCE_LIST}"):
            supports: ClassImages = read_references(self._base, REFERENCE_LIST, self._images)
        else:
            supports = first_by_name(self._images, sampling.shot)
        exclude = sampling.exclude_prompt and not released
        return tasks_by_class(self._images, supports, exclude=exclude)

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return paired_images(self._base, "Images", "Annotations")


def first_by_name(images: ClassImages, shot: int) -> dict[str, tuple[Example, ...]]:
    """Image 00 of every object, then the next ones by name.

    Only the file name is compared. PerSAM searches the whole path for "00", and so leaves out whole
    folders with it in their name.

    Raises:
        SourceError: an object has no image 00, or fewer images than `shot`.
    """
    supports = {}
    for name, examples in images.items():
        reference = by_name(examples, FIRST)
        folder = examples[0].uri.rpartition("/")[0]
        if reference is None:
            raise SourceError(f"{folder} has no image {FIRST}.jpg, the reference of '{name}'")
        if len(examples) < shot:
            raise SourceError(f"{folder} has {len(examples)} image(s), too few for shot {shot}")
        others = [example for example in examples if example is not reference]
        supports[name] = (reference, *others[: shot - 1])
    return supports
