"""The zero-shot splits of ViL-Seg: classes that a trained method has not seen.

Each split can be evaluated in two ways. IPSeg's released code segments a class only in images that
contain it, one class at a time, and takes the mean IoU over images ("present-class binary", the
reference here). In the usual evaluation of zero-shot segmentation, all unseen classes and the
background compete for every pixel of every validation image (rule "multiclass"), which is much
harder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import pyarrow.compute as pc

from ipseg.benchmarks.annotations.label_index import Coding, check_labels, label_index
from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import stem
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import is_file, read_lines, relative_path
from ipseg.benchmarks.protocol import IPSEG_PROTOCOL, Protocol
from ipseg.errors import SourceError

PROMPT_LIST = "prompts.txt"
_FIRST_BY_NAME = 6
_CHECKED = 3  # label maps that `check` reads
_MULTICLASS = "multiclass"


class ZeroShotBenchmark(Benchmark):
    """Unseen classes of a data set with label maps; the queries are the validation images.

    The paper's prompts were chosen by hand from the benchmark itself, and the list was not
    published. Here the prompt of a class is its largest object, by share of the image, among the
    first six validation images by name that contain it; more shots take the next largest.
    `prompts.txt` in the data root replaces that: `<class> <image>` on each line, with paths below
    the root. As in the paper, prompts are not queries of any class (unless `exclude_prompt` is
    off).

    Episodes are in the order of classes, then of images by name; with "multiclass" of images, then
    of classes. The first call reads all label maps of the validation set, unless their index
    exists.

    Attributes:
        unseen: class id -> name.
    """

    unseen: ClassVar[dict[int, str]]
    rules: ClassVar[dict[str, str]] = {
        _MULTICLASS: "every validation image and every class, present or not; each pixel is "
        "assigned to the class with the highest score or to the background"
    }
    protocol: ClassVar[Protocol] = IPSEG_PROTOCOL
    protocols: ClassVar[dict[str, Protocol]] = {
        _MULTICLASS: Protocol(formula="A", assign="argmax")  # the usual one, at the original size
    }
    folds: ClassVar[tuple[str, ...]] = ("val",)
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "C", "D")

    def check(self) -> None:
        """Checks that folders and lists exist, and reads a few label maps.

        Raises:
            SourceError: as `Benchmark.check`, or a label map has an invalid value.
        """
        for name, key in list(self._images.items())[:_CHECKED]:
            check_labels(self._labels(name), self._coding)
            if not is_file(f"{self._base}/{key}"):
                raise SourceError(f"{self._base}/{key} is missing; {self.title} needs it")

    def classes(self, fold: str) -> dict[int, str]:
        """The unseen classes, with the ids of the data set."""
        return dict(self.unseen)

    def _tasks(self, fold: str, sampling: Sampling) -> Iterator[Task]:
        supports = self._supports(sampling.shot)
        prompts = {example.key for examples in supports.values() for example in examples}
        excluded = prompts if sampling.exclude_prompt else set()
        if sampling.rule == _MULTICLASS:
            pairs = [(class_id, name) for name in self._images for class_id in self.unseen]
        else:
            pairs = [(c, name) for c in self.unseen for name, _ in self._containing[c]]
        for class_id, name in pairs:
            if self._images[name] not in excluded:
                yield class_id, self._example(name, class_id), supports[class_id]

    @property
    @abstractmethod
    def _images(self) -> dict[str, str]:
        """Name -> key of every validation image, sorted by name."""

    @property
    @abstractmethod
    def _coding(self) -> Coding:
        """The meaning of the values in the label maps."""

    @abstractmethod
    def _labels(self, name: str) -> str:
        """Address of the label map of an image."""

    @cached_property
    def _containing(self) -> dict[int, list[tuple[str, float]]]:
        """Class id -> (name, share of the image) of every image that contains it, by name."""
        folder = self._base if self.cache is None else f"{self.cache.rstrip('/')}/{self.name}"
        maps = {name: self._labels(name) for name in self._images}
        index = label_index(maps, self._coding, folder, self.progress)
        found = {}
        for class_id in self.unseen:
            rows = index.filter(pc.equal(index["label"], self._coding.values[class_id]))
            names, shares = rows["name"].to_pylist(), rows["share"].to_pylist()
            found[class_id] = sorted(zip(names, shares, strict=True))
        return found

    def _supports(self, shot: int) -> dict[int, tuple[Example, ...]]:
        if is_file(f"{self._base}/{PROMPT_LIST}"):
            candidates = self._listed_prompts()
        else:
            candidates = {class_id: self._largest(class_id, shot) for class_id in self.unseen}
        for class_id, examples in candidates.items():
            if len(examples) < shot:
                raise SourceError(
                    f"{self._base} has {len(examples)} prompt(s) for "
                    f"'{self.unseen[class_id]}', too few for shot {shot}; add validation images "
                    f"or name prompts in {PROMPT_LIST}"
                )
        return {class_id: tuple(examples[:shot]) for class_id, examples in candidates.items()}

    def _largest(self, class_id: int, shot: int) -> list[Example]:
        first = self._containing[class_id][: max(_FIRST_BY_NAME, shot)]
        ranked = sorted(first, key=lambda item: -item[1])  # ties by name
        return [self._example(name, class_id) for name, _ in ranked]

    def _listed_prompts(self) -> dict[int, list[Example]]:
        url = f"{self._base}/{PROMPT_LIST}"
        ids = {name: class_id for class_id, name in self.unseen.items()}
        found: dict[int, list[Example]] = {class_id: [] for class_id in self.unseen}
        for line in read_lines(url):
            name, _, path = line.partition(" ")
            if name not in ids or not path.strip():
                raise SourceError(
                    f"{url} has a line {line!r}; each should be '<class> <image>' with a class "
                    f"of {', '.join(ids)}"
                )
            key = relative_path(path.strip(), url)
            if not is_file(f"{self._base}/{key}"):
                raise SourceError(f"{url} names {self._base}/{key}, which does not exist")
            if self._images.get(stem(key)) == key:
                found[ids[name]].append(self._example(stem(key), ids[name]))
            else:
                found[ids[name]].append(Example(key, f"{self._base}/{key}", ""))
        return found

    def _example(self, name: str, class_id: int) -> Example:
        key = self._images[name]
        ground_truth = self._coding.address(self._labels(name), class_id)
        return Example(key, f"{self._base}/{key}", ground_truth)
