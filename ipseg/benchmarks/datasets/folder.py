"""Your own images and masks: one folder for each class."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import (
    files_by_class,
    paired_images,
    tasks_by_class,
)
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.prompts import MASK_SUFFIX, pair
from ipseg.storage.files import is_folder

_FIRST_BY_NAME = 6  # "largest-of-6" takes the largest object among these


class FolderBenchmark(Benchmark):
    """Images with masks in class folders; classes are numbered by name.

    Episodes are in the order of classes, then of queries by name. With "all-pairs": by class, then
    by name of the support, then of the query; an image is also its own query unless prompts are
    excluded.

    If there is a folder `prompts/`, all images in it are supports of their class, whatever the
    shot, and the reference rule takes none from `images/`. Naming a rule overrides that.
    """

    name: ClassVar[str] = "folder"
    title: ClassVar[str] = "A folder of images and masks"
    layout: ClassVar[str] = (
        "ROOT/images/<class>/NAME.jpg   (or another image format)\n"
        "ROOT/masks/<class>/NAME.png    pixels that are not zero or transparent are the object\n"
        "ROOT/prompts/<class>/          optional: prompt images, with NAME.mask.png as mask"
    )
    needed: ClassVar[tuple[str, ...]] = ("images/", "masks/")
    rules: ClassVar[dict[str, str]] = {
        "first": "the first image of the class by name; the reference without prompts/",
        "largest-of-6": "the largest object, by share of the image, among the first six by name",
        "random": "drawn with the seed, once for each class",
        "all-pairs": "every ordered pair of images of a class is an episode",
    }
    one_shot: ClassVar[tuple[str, ...]] = ("all-pairs",)
    seeded: ClassVar[tuple[str, ...]] = ("random",)
    protocol: ClassVar[Protocol] = Protocol(formula="B", mask_orientation="auto")
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "C", "D")

    def check(self) -> None:
        """Lists the folders; every image needs a mask.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        self._prompts  # noqa: B018  (listing it is the check)

    def classes(self, fold: str) -> dict[int, str]:
        """Classes numbered by name -> name of the folder."""
        return dict(enumerate(self._images))

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        if sampling.rule == "all-pairs":
            return (
                (class_id, query, (support,))
                for class_id, examples in enumerate(self._images.values())
                for support in examples
                for query in examples
                if not sampling.exclude_prompt or query.key != support.key
            )
        listed = self._prompts if sampling.rule == "" else {}
        supports = listed or self._draw(sampling)
        return tasks_by_class(self._images, supports, exclude=sampling.exclude_prompt)

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return self._with_masks

    @cached_property
    def _with_masks(self) -> dict[str, tuple[Example, ...]]:
        return paired_images(self._base, "images", "masks")

    @cached_property
    def _prompts(self) -> dict[str, tuple[Example, ...]]:
        """Class -> images in prompts/; empty if there is no such folder."""
        folder = f"{self.root}/prompts"
        classes = set(self._images)
        if not is_folder(folder):
            return {}
        found = {
            name: _prompts(folder, name, files) for name, files in files_by_class(folder).items()
        }
        found = {name: prompts for name, prompts in found.items() if prompts}
        if unknown := sorted(found.keys() - classes):
            raise SourceError(
                f"{folder}/{unknown[0]} is not a class; {self.root}/images has "
                f"{', '.join(sorted(classes))}"
            )
        if without := sorted(classes - found.keys()):
            raise SourceError(
                f"{folder}/{without[0]} has no image; add one for every class, remove {folder}, or "
                f"name a rule such as 'first'"
            )
        return found

    def _draw(self, sampling: Sampling) -> dict[str, tuple[Example, ...]]:
        # One generator for all classes, as in the reference implementations of other data sets.
        stream = np.random.RandomState(sampling.seed)
        supports = {}
        for name, examples in self._images.items():
            if len(examples) < sampling.shot:
                raise SourceError(
                    f"{self.root}/images/{name} has {len(examples)} image(s), too few for "
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


def _largest_first(examples: tuple[Example, ...]) -> list[Example]:
    shares = {
        example.key: read_ground_truth(example.ground_truth).mask.mean() for example in examples
    }
    return sorted(examples, key=lambda example: -shares[example.key])  # ties by name


def _prompts(folder: str, name: str, files: dict[str, str]) -> tuple[Example, ...]:
    return tuple(
        Example(
            f"prompts/{name}/{file}",
            files[file],
            f"{files[beside[MASK_SUFFIX]]}#object" if MASK_SUFFIX in beside else "",
        )
        for file, beside in sorted(pair(files, f"{folder}/{name}").items())
    )
