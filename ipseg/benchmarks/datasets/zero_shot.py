"""The zero-shot splits of ViL-Seg: classes that a trained method has not seen.

Each split has two counts. IPSeg's released loop asks for a class only where it is present, one
class at a time, and takes the mean IoU over images ("present-class binary", the reference here).
The usual count of zero-shot segmentation lets all unseen classes and the background compete for
every pixel of every validation image (rule "multiclass"); it is far harder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import pyarrow.compute as pc

from ipseg.benchmarks.annotations.label_index import Coding, count_labels, label_index
from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_rule
from ipseg.benchmarks.datasets.class_folders import stem
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import is_file, locate, read_lines, relative_path
from ipseg.errors import SourceError

PROMPT_LIST = "prompts.txt"
_FIRST_BY_NAME = 6
_LOOKED_AT = 3  # label maps that `check` reads
_MULTICLASS = "multiclass"


class ZeroShotBenchmark(Benchmark):
    """Unseen classes of a data set with label maps; the validation images are asked about.

    The paper chose its prompts by hand from the benchmark itself and published no list. Here the
    prompt of a class is its largest object, by share of the picture, among the first six
    validation images by name that show it; more shots take the next largest. `prompts.txt` in the
    data root replaces that: `<class> <picture>` on each line, pictures below the root. As in the
    paper, prompts are not asked about, for no class (unless `exclude_prompt` is off).

    Attributes:
        unseen: class id -> name.
        places: where below the root the data set may begin.
        needed: files and folders it needs there.
    """

    unseen: ClassVar[dict[int, str]]
    places: ClassVar[tuple[str, ...]]
    needed: ClassVar[tuple[str, ...]]
    rules: ClassVar[dict[str, str]] = {
        _MULTICLASS: "every validation image and every class, present or not; each pixel goes to "
        "the surest class or the background"
    }
    protocol: ClassVar[Protocol] = Protocol(formula="B", side=1024, truth_rule="linear")
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "C", "D")

    def protocol_of(self, rule: str) -> Protocol:
        """IPSeg's released loop; under "multiclass" the usual count at the original size."""
        if rule == _MULTICLASS:
            return Protocol(formula="A", assign="argmax")
        return self.protocol

    @property
    def folds(self) -> tuple[str, ...]:
        """The validation set."""
        return ("val",)

    def check(self) -> None:
        """Looks for folders and lists, and reads a few label maps.

        Raises:
            SourceError: as `Benchmark.check`, or a label map holds a value it cannot hold.
        """
        for name, key in list(self._pictures.items())[:_LOOKED_AT]:
            count_labels(self._labels(name), self._coding)
            if not is_file(f"{self._root}/{key}"):
                raise SourceError(f"{self._root}/{key} is missing; {self.title} needs it")

    def classes(self, fold: str) -> dict[int, str]:
        """The unseen classes, numbered as in the data set."""
        return dict(self.unseen)

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """Class by class, images by name; with "multiclass" image by image, in it all classes.

        The first call reads all label maps of the validation set, unless their index is there.

        Raises:
            SourceError: as `Benchmark.episodes`, or a class has too few images to show.
        """
        check_rule(self, sampling)
        supports = self._supports(sampling.shot)
        shown = {example.key for examples in supports.values() for example in examples}
        if not sampling.exclude_prompt:
            shown = set()
        pairs = self._everything() if sampling.rule == _MULTICLASS else self._present()
        asked = (
            (class_id, query)
            for class_id, query in ((c, self._example(name, c)) for c, name in pairs)
            if query.key not in shown
        )
        return [
            Episode(number, "val", class_id, self.unseen[class_id], query, supports[class_id])
            for number, (class_id, query) in enumerate(asked)
        ]

    @property
    @abstractmethod
    def _pictures(self) -> dict[str, str]:
        """Name -> key of every validation image, sorted by name."""

    @property
    @abstractmethod
    def _coding(self) -> Coding:
        """What the values of the label maps mean."""

    @abstractmethod
    def _labels(self, name: str) -> str:
        """Address of the label map of an image."""

    @cached_property
    def _root(self) -> str:
        return locate(self.root, self.places, self.needed, title=self.title, layout=self.layout)

    def _everything(self) -> Iterator[tuple[int, str]]:
        return ((class_id, name) for name in self._pictures for class_id in self.unseen)

    def _present(self) -> Iterator[tuple[int, str]]:
        return ((class_id, name) for class_id in self.unseen for name, _ in self._showing[class_id])

    @cached_property
    def _showing(self) -> dict[int, list[tuple[str, float]]]:
        """Class id -> (name, share of the picture) of every image that shows it, by name."""
        folder = self._root if self._cache is None else f"{self._cache.rstrip('/')}/{self.name}"
        maps = {name: self._labels(name) for name in self._pictures}
        index = label_index(maps, self._coding, folder, self._progress)
        showing = {}
        for class_id in self.unseen:
            rows = index.filter(pc.equal(index["label"], self._coding.values[class_id]))
            names, shares = rows["name"].to_pylist(), rows["share"].to_pylist()
            showing[class_id] = sorted(zip(names, shares, strict=True))
        return showing

    def _supports(self, shot: int) -> dict[int, tuple[Example, ...]]:
        if is_file(f"{self._root}/{PROMPT_LIST}"):
            candidates = self._listed_prompts()
        else:
            candidates = {class_id: self._largest(class_id, shot) for class_id in self.unseen}
        for class_id, examples in candidates.items():
            if len(examples) < shot:
                raise SourceError(
                    f"{self._root} has {len(examples)} prompt(s) for "
                    f"'{self.unseen[class_id]}', too few for shot {shot}; add validation images "
                    f"or name prompts in {PROMPT_LIST}"
                )
        return {class_id: tuple(examples[:shot]) for class_id, examples in candidates.items()}

    def _largest(self, class_id: int, shot: int) -> list[Example]:
        first = self._showing[class_id][: max(_FIRST_BY_NAME, shot)]
        ranked = sorted(first, key=lambda item: -item[1])  # ties stay by name
        return [self._example(name, class_id) for name, _ in ranked]

    def _listed_prompts(self) -> dict[int, list[Example]]:
        url = f"{self._root}/{PROMPT_LIST}"
        ids = {name: class_id for class_id, name in self.unseen.items()}
        found: dict[int, list[Example]] = {class_id: [] for class_id in self.unseen}
        for line in read_lines(url):
            name, _, path = line.partition(" ")
            if name not in ids or not path.strip():
                raise SourceError(
                    f"{url} has a line {line!r}; each should be '<class> <picture>' with a class "
                    f"of {', '.join(ids)}"
                )
            picture = relative_path(path.strip(), url)
            found[ids[name]].append(self._prompt(url, picture, ids[name]))
        return found

    def _prompt(self, url: str, path: str, class_id: int) -> Example:
        address = f"{self._root}/{path}"
        if not is_file(address):
            raise SourceError(f"{url} names {address}, which is not there")
        if self._pictures.get(name := stem(path)) == path:
            return self._example(name, class_id)
        return Example(path, address, "")

    def _example(self, name: str, class_id: int) -> Example:
        key = self._pictures[name]
        truth = self._coding.address(self._labels(name), class_id)
        return Example(key, f"{self._root}/{key}", truth)
