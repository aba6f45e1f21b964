"""IPSeg's layout for any data set: class folders and a list of references."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import ClassImages, paired_images, tasks_by_class
from ipseg.benchmarks.datasets.references import REFERENCE_LIST, read_references
from ipseg.benchmarks.layout import absolute, folders_of, plain_name
from ipseg.benchmarks.protocol import IPSEG_PROTOCOL, Protocol
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder
from ipseg.storage.walk import list_files

_RELEASED_RULE = "released"
_LIST_RULE = "NAME.txt"


class IpsegLayoutBenchmark(Benchmark):
    """One set, or a folder of sets, each of which is a fold; classes are numbered by name.

    Episodes are in the order of classes, then of queries by name. A list has one reference for each
    class, so there is one shot.
    """

    name: ClassVar[str] = "ipseg-layout"
    title: ClassVar[str] = "IPSeg's layout"
    layout: ClassVar[str] = (
        "ROOT/imgs/<class>/NAME.jpg      ROOT is one set, or data/fss-te with several of them\n"
        "ROOT/gts/<class>/NAME.png       grey above zero is the object\n"
        "ROOT/ref_composed.txt           '<class> <reference>' on each line: the name of an image\n"
        "                                of the class, or a path below ROOT"
    )
    places: ClassVar[tuple[str, ...]] = ("", "fss-te", "data/fss-te")
    rules: ClassVar[dict[str, str]] = {
        _RELEASED_RULE: "the reference is also a query, as in the released code",
        _LIST_RULE: "references from this list next to ref_composed.txt, such as a prompt set",
    }
    one_shot: ClassVar[tuple[str, ...]] = ("", *rules)
    protocol: ClassVar[Protocol] = IPSEG_PROTOCOL
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "C", "D")

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the sets; ("",) if the root is a set itself."""
        return tuple(self._sets)

    def check(self) -> None:
        """Lists every set and reads its references.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        for fold in self.folds:
            self._references(fold, REFERENCE_LIST)

    def classes(self, fold: str) -> dict[int, str]:
        """Classes numbered by name -> name of the folder."""
        return dict(enumerate(self._images(fold)))

    def check_sampling(self, fold: str, sampling: Sampling) -> None:
        """See `Benchmark.check_sampling`; a rule may also be the plain name of a list."""
        if sampling.rule.endswith(".txt"):
            plain_name(sampling.rule, f"rule of {self.name}")
            sampling = replace(sampling, rule=_LIST_RULE)
        super().check_sampling(fold, sampling)

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        rule = sampling.rule
        references = self._references(fold, rule if rule.endswith(".txt") else REFERENCE_LIST)
        exclude = sampling.exclude_prompt and rule != _RELEASED_RULE
        return tasks_by_class(self._images(fold), references, exclude=exclude)

    @cached_property
    def _sets(self) -> dict[str, str]:
        if is_folder(f"{self.root}/imgs"):
            return {"": absolute(self.root)}
        for folder in folders_of(self.root, self.places):
            if lists := list_files(folder, f"*/{REFERENCE_LIST}"):
                sets = [path.rpartition("/")[0] for path in lists]
                return {path.rpartition("/")[2]: path for path in sets}
        raise SourceError(
            f"no set in {self.root}: neither imgs/ nor folders with {REFERENCE_LIST}; "
            f"it needs\n{self.layout}"
        )

    def _images(self, fold: str) -> ClassImages:
        if fold not in self._sets:
            raise SourceError(f"{self.root} has no set '{fold}'; it has {', '.join(self._sets)}")
        return self._listed[fold]

    @cached_property
    def _listed(self) -> dict[str, ClassImages]:
        return {fold: paired_images(url, "imgs", "gts") for fold, url in self._sets.items()}

    def _references(self, fold: str, file: str) -> ClassImages:
        images = self._images(fold)
        return read_references(self._sets[fold], file, images)
