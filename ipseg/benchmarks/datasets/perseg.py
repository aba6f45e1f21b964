"""PerSeg: forty objects in a few pictures each (PerSAM, ICLR 2024)."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_one_shot, check_rule
from ipseg.benchmarks.datasets.class_folders import ClassPictures, ask_by_class, paired_pictures
from ipseg.benchmarks.datasets.references import REFERENCE_LIST, by_name, read_references
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import is_file, locate
from ipseg.errors import SourceError

FIRST = "00"  # name of the reference picture in every folder
_IPSEG_RULE = "ipseg"


class PersegBenchmark(Benchmark):
    """The reference of every object is its picture 00; objects are numbered by name.

    More shots take the pictures that follow by name.
    """

    name: ClassVar[str] = "perseg"
    title: ClassVar[str] = "PerSeg"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg        ROOT may also be the folder above data/\n"
        "ROOT/Annotations/<object>/{00..}.png   any grey above zero is object\n"
        "ROOT/ref_composed.txt                  optional, for rule 'ipseg': '<object> <name>'\n"
        "Get it from the repository ZrrSkywalker/Personalize-SAM."
    )
    rules: ClassVar[dict[str, str]] = {
        _IPSEG_RULE: "IPSeg's count: mean over all images at 1024 x 1024, the reference among "
        "them; references from ref_composed.txt where there is one"
    }
    protocol: ClassVar[Protocol] = Protocol(formula="P")
    formulas: ClassVar[tuple[str, ...]] = ("P", "A", "A'", "B")

    def protocol_of(self, rule: str) -> Protocol:
        """PerSAM's; under rule "ipseg" that of IPSeg's released loop."""
        if rule == _IPSEG_RULE:
            return Protocol(formula="B", side=1024, truth_rule="linear")
        return self.protocol

    @property
    def folds(self) -> tuple[str, ...]:
        """One, without a name."""
        return ("",)

    def check(self) -> None:
        """Lists the folders; every object needs a picture 00, every picture its mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        first_by_name(self._pictures, 1)

    def classes(self, fold: str) -> dict[int, str]:
        """Number in the order of names -> name of the folder."""
        return dict(enumerate(self._pictures))

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """Object by object, queries by name.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: rule "ipseg" with more than one shot.
        """
        check_rule(self, sampling)
        if sampling.rule == _IPSEG_RULE:
            check_one_shot(self, sampling)
            return ask_by_class(self._pictures, self._composed(), exclude=False)
        supports = first_by_name(self._pictures, sampling.shot)
        return ask_by_class(self._pictures, supports, exclude=sampling.exclude_prompt)

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
    def _pictures(self) -> dict[str, tuple[Example, ...]]:
        return paired_pictures(self._root, "Images", "Annotations")

    def _composed(self) -> ClassPictures:
        if is_file(f"{self._root}/{REFERENCE_LIST}"):
            return read_references(self._root, REFERENCE_LIST, self._pictures)
        return first_by_name(self._pictures, 1)


def first_by_name(pictures: ClassPictures, shot: int) -> dict[str, tuple[Example, ...]]:
    """Picture 00 of every object, then those that follow by name.

    The name of the file decides. PerSAM looks for "00" anywhere in the path, and so leaves out
    whole folders whose name holds it.

    Raises:
        SourceError: an object has no picture 00, or fewer pictures than `shot`.
    """
    supports = {}
    for name, examples in pictures.items():
        reference = by_name(examples, FIRST)
        folder = examples[0].uri.rpartition("/")[0]
        if reference is None:
            raise SourceError(f"{folder} has no picture {FIRST}.jpg, the reference of '{name}'")
        if len(examples) < shot:
            raise SourceError(f"{folder} has {len(examples)} picture(s), too few for shot {shot}")
        others = [example for example in examples if example is not reference]
        supports[name] = (reference, *others[: shot - 1])
    return supports
