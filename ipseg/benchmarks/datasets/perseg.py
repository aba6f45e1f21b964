"""PerSeg: forty objects with a few images each (PerSAM, ICLR 2024)."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_one_shot, check_rule
from ipseg.benchmarks.datasets.class_folders import ClassImages, episodes_by_class, paired_images
from ipseg.benchmarks.datasets.references import REFERENCE_LIST, by_name, read_references
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import is_file, locate
from ipseg.errors import SourceError

FIRST = "00"  # name of the reference image in each folder
_IPSEG_RULE = "ipseg"


class PersegBenchmark(Benchmark):
    """The reference of each object is its image 00; objects are numbered by name.

    More shots add the next images by name.
    """

    name: ClassVar[str] = "perseg"
    title: ClassVar[str] = "PerSeg"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg        ROOT may also be the folder above data/\n"
        "ROOT/Annotations/<object>/{00..}.png   grey above zero is the object\n"
        "ROOT/ref_composed.txt                  optional, for rule 'ipseg': '<object> <name>'\n"
        "Get it from the repository ZrrSkywalker/Personalize-SAM."
    )
    rules: ClassVar[dict[str, str]] = {
        _IPSEG_RULE: "IPSeg's evaluation: mean over all images at 1024 x 1024, including the "
        "reference; references from ref_composed.txt if it exists"
    }
    protocol: ClassVar[Protocol] = Protocol(formula="P")
    formulas: ClassVar[tuple[str, ...]] = ("P", "A", "A'", "B")

    def protocol_of(self, rule: str) -> Protocol:
        """PerSAM's; for rule "ipseg" that of IPSeg's released code."""
        if rule == _IPSEG_RULE:
            return Protocol(formula="B", side=1024, ground_truth_resize="linear")
        return self.protocol

    @property
    def folds(self) -> tuple[str, ...]:
        """One, without a name."""
        return ("",)

    def check(self) -> None:
        """Lists the folders; every object needs an image 00, every image a mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        first_by_name(self._images, 1)

    def classes(self, fold: str) -> dict[int, str]:
        """Objects numbered by name -> name of the folder."""
        return dict(enumerate(self._images))

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """By object, then by name of the query.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: rule "ipseg" with more than one shot.
        """
        check_rule(self, sampling)
        if sampling.rule == _IPSEG_RULE:
            check_one_shot(self, sampling)
            return episodes_by_class(self._images, self._composed(), exclude=False)
        supports = first_by_name(self._images, sampling.shot)
        return episodes_by_class(self._images, supports, exclude=sampling.exclude_prompt)

    @cached_property
    def _root(self) -> str:
        return locate(
            self.root,
            ["", "data"],
            ["Images/", "Annotations/"],
            title=self.title,
            layout=self.layout,
        )

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return paired_images(self._root, "Images", "Annotations")

    def _composed(self) -> ClassImages:
        if is_file(f"{self._root}/{REFERENCE_LIST}"):
            return read_references(self._root, REFERENCE_LIST, self._images)
        return first_by_name(self._images, 1)


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
