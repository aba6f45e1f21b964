"""FSS-1000: a thousand classes with ten images each; 240 of the classes are for testing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets import drawing
from ipseg.benchmarks.datasets.class_folders import files_by_class
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import read_names
from ipseg.benchmarks.protocol import IPSEG_PROTOCOL, MATCHER_PROTOCOL, Protocol
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder

_LIST = "splits/test.txt"
_CLASS_FOLDER = re.compile(r"(?!\.)[^/\\]+")
_FIRST_ID = 760  # of the test classes; training and validation classes come first
_NUMBERS = range(1, 11)  # file names of the images of a class, in the order of the reference
_THRESHOLD = 127  # outlines are smoothed: grey from 128 on is the object


class Fss1000Benchmark(Benchmark):
    """Every image of every test class is a query once; classes are 760, 761, ... by name.

    Episodes are in the order of classes, then of queries by name as text: 1, 10, 2, ..., 9.

    A query is never its own support, but is a support of other queries: `Sampling.exclude_prompt`
    matters only for rule "prompt-set". Only the images 1 to 10 of a class folder are used.
    """

    name: ClassVar[str] = "fss-1000"
    title: ClassVar[str] = "FSS-1000"
    folds: ClassVar[tuple[str, ...]] = ("test",)
    layout: ClassVar[str] = (
        "ROOT/data/<class>/{1..10}.jpg    images\n"
        "ROOT/data/<class>/{1..10}.png    masks, grey from 128 on is the object\n"
        "ROOT/splits/test.txt             one class per line; repository aim-uofa/Matcher,\n"
        "                                 datasets/FSS-1000/splits\n"
        "Without data/, class folders may be in ROOT itself. ROOT may also be the folder above\n"
        "FSS-1000/, datasets/ or data/."
    )
    places: ClassVar[tuple[str, ...]] = (
        *("", "FSS-1000", "datasets/FSS-1000", "data/FSS-1000", "datasets/fss/FSS-1000"),
    )
    needed: ClassVar[tuple[str, ...]] = (_LIST,)
    rules: ClassVar[dict[str, str]] = drawing.RULES
    seeded: ClassVar[tuple[str, ...]] = ("", *rules)
    protocol: ClassVar[Protocol] = MATCHER_PROTOCOL
    protocols: ClassVar[dict[str, Protocol]] = {drawing.PROMPT_SET: IPSEG_PROTOCOL}

    def check(self) -> None:
        """Lists the class folders; every image needs a mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        self._examples  # noqa: B018  (listing it is the check)

    def classes(self, fold: str) -> dict[int, str]:
        """760, 761, ... -> name of the folder."""
        return {_FIRST_ID + place: name for place, name in enumerate(self._names)}

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        examples, base = self._examples, self._base
        keys = {class_id: _keys(name) for class_id, name in self.classes(fold).items()}
        by_name = {class_id: sorted(names) for class_id, names in keys.items()}
        if sampling.rule == drawing.PROMPT_SET:
            drawn = drawing.draw_prompts(by_name, sampling, base)
        else:
            queries = ((name, class_id) for class_id, names in by_name.items() for name in names)
            drawn = drawing.draw_for(queries, keys, sampling, base)
        return drawing.with_examples(drawn, lambda key, _: examples[key])

    @cached_property
    def _names(self) -> list[str]:
        return sorted(read_names(f"{self._base}/{_LIST}", _CLASS_FOLDER))

    @cached_property
    def _examples(self) -> dict[str, Example]:
        """Key -> image and mask, for all test classes."""
        folder = f"{self._base}/data" if is_folder(f"{self._base}/data") else self._base
        names = self._names
        listed = files_by_class(folder)
        examples = {}
        for name in names:
            if name not in listed:
                raise SourceError(
                    f"{folder}/{name} is missing, a class of {self._base}/{_LIST} "
                    f"({sum(n not in listed for n in names)} of {len(names)} are missing)"
                )
            for number in _NUMBERS:
                image, mask = f"{number}.jpg", f"{number}.png"
                for file in (image, mask):
                    if file not in listed[name]:
                        raise SourceError(
                            f"{folder}/{name}/{file} is missing: each class needs images 1 to 10 "
                            "as .jpg and their masks as .png"
                        )
                key, ground_truth = f"{name}/{image}", f"{listed[name][mask]}#above={_THRESHOLD}"
                examples[key] = Example(key, listed[name][image], ground_truth)
        return examples


def _keys(name: str) -> list[str]:
    return [f"{name}/{number}.jpg" for number in _NUMBERS]
