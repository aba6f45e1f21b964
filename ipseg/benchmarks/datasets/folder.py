"""Anybody's own pictures and masks: one folder for each class."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_one_shot, check_rule
from ipseg.benchmarks.datasets.class_folders import (
    ClassPictures,
    ask_by_class,
    files_by_class,
    paired_pictures,
    stem,
)
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import locate
from ipseg.benchmarks.truth import read_truth
from ipseg.errors import SourceError
from ipseg.prompts import MASK_SUFFIX
from ipseg.storage.files import is_folder
from ipseg.vision.images import IMAGE_SUFFIXES

_FIRST_BY_NAME = 6  # among these, "largest-of-6" looks for the largest object


class FolderBenchmark(Benchmark):
    """Pictures with masks in class folders; classes are numbered by name.

    Where there is a folder `prompts/`, every picture in it is shown for its class, whatever the
    shot, and the reference rule takes no prompt from `images/`. Naming a rule overrides that.
    """

    name: ClassVar[str] = "folder"
    title: ClassVar[str] = "A folder of pictures and masks"
    layout: ClassVar[str] = (
        "ROOT/images/<class>/NAME.jpg   (or any other picture format)\n"
        "ROOT/masks/<class>/NAME.png    any pixel above zero is object\n"
        "ROOT/prompts/<class>/          optional: pictures to show, NAME.mask.png beside one is\n"
        "                               its mask"
    )
    rules: ClassVar[dict[str, str]] = {
        "first": "the first picture of the class by name; the reference without prompts/",
        "largest-of-6": "the largest object, by share of the picture, among the first six by name",
        "random": "drawn with the seed, once for each class",
        "all-pairs": "every ordered pair of pictures of a class is an episode",
    }
    protocol: ClassVar[Protocol] = Protocol(formula="B")
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "C", "D")

    @property
    def folds(self) -> tuple[str, ...]:
        """One, without a name."""
        return ("",)

    def check(self) -> None:
        """Lists the folders; every picture needs its mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        self._prompts  # noqa: B018  (listing it is the check)

    def classes(self, fold: str) -> dict[int, str]:
        """Number in the order of names -> name of the folder."""
        return dict(enumerate(self._pictures))

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """Class by class, queries by name.

        With "all-pairs", supports by name and within them the queries; unless prompts are
        excluded, a picture is also asked about itself.

        Raises:
            SourceError: as `Benchmark.episodes`.
            ConfigError: "all-pairs" with more than one shot.
        """
        check_rule(self, sampling)
        if sampling.rule == "all-pairs":
            check_one_shot(self, sampling)
            return self._all_pairs(sampling.exclude_prompt)
        if sampling.rule == "" and self._prompts:
            supports: ClassPictures = self._prompts
        else:
            supports = self._draw(sampling)
        return ask_by_class(
            self._pictures,
            supports,
            exclude=sampling.exclude_prompt,
            seed=sampling.seed if sampling.rule == "random" else None,
        )

    @cached_property
    def _pictures(self) -> dict[str, tuple[Example, ...]]:
        locate(self.root, [""], ["images/", "masks/"], title=self.title, layout=self.layout)
        return paired_pictures(self.root, "images", "masks")

    @cached_property
    def _prompts(self) -> dict[str, tuple[Example, ...]]:
        """Class -> pictures of prompts/; empty where there is no such folder."""
        folder = f"{self.root}/prompts"
        classes = set(self._pictures)
        if not is_folder(folder):
            return {}
        found = {name: _prompts(name, files) for name, files in files_by_class(folder).items()}
        found = {name: prompts for name, prompts in found.items() if prompts}
        if unknown := sorted(found.keys() - classes):
            raise SourceError(
                f"{folder}/{unknown[0]} belongs to no class; {self.root}/images has "
                f"{', '.join(sorted(classes))}"
            )
        if without := sorted(classes - found.keys()):
            raise SourceError(
                f"{folder}/{without[0]} has no picture; put one there for every class, remove "
                f"{folder}, or name a rule such as 'first'"
            )
        return found

    def _draw(self, sampling: Sampling) -> dict[str, tuple[Example, ...]]:
        # One stream for all classes, as the reference implementations of other data sets draw.
        stream = np.random.RandomState(sampling.seed)
        supports = {}
        for name, examples in self._pictures.items():
            if len(examples) < sampling.shot:
                raise SourceError(
                    f"{self.root}/images/{name} has {len(examples)} picture(s), too few for "
                    f"{sampling.shot} prompts"
                )
            if sampling.rule == "random":
                order = stream.choice(len(examples), sampling.shot, replace=False)
                ranked = [examples[i] for i in order]
            elif sampling.rule == "largest-of-6":
                ranked = _largest_first(examples[: max(_FIRST_BY_NAME, sampling.shot)])
            else:
                ranked = list(examples)
            supports[name] = tuple(ranked[: sampling.shot])
        return supports

    def _all_pairs(self, exclude: bool) -> list[Episode]:
        pairs = (
            (class_id, name, support, query)
            for class_id, (name, examples) in enumerate(self._pictures.items())
            for support in examples
            for query in examples
            if not exclude or query.key != support.key
        )
        return [
            Episode(number, "", class_id, name, query, (support,))
            for number, (class_id, name, support, query) in enumerate(pairs)
        ]


def _largest_first(examples: tuple[Example, ...]) -> list[Example]:
    shares = {example.key: read_truth(example.truth).mask.mean() for example in examples}
    return sorted(examples, key=lambda example: -shares[example.key])  # ties stay by name


def _prompts(name: str, files: dict[str, str]) -> tuple[Example, ...]:
    masks = {file: address for file, address in files.items() if file.endswith(MASK_SUFFIX)}
    return tuple(
        Example(f"prompts/{name}/{file}", address, _given(masks.get(f"{stem(file)}{MASK_SUFFIX}")))
        for file, address in files.items()
        if file not in masks and PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES
    )


def _given(mask: str | None) -> str:
    return "" if mask is None else f"{mask}#above=0"
