"""PerSense-D: many objects of a kind in each image (PerSense, BMVC 2025).

Layout and evaluation as in the repository Muhammad-Ibraheem-Siddiqui/PerSense: its `persense.py`
reads `data/Images/<object>/NN.jpg` with the mask `NN.png` next to it; `eval_miou.py` thresholds
grey above zero, sums over the images of each object except 00 and averages over objects.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_rule
from ipseg.benchmarks.datasets.class_folders import episodes_by_class, paired_images
from ipseg.benchmarks.datasets.perseg import first_by_name
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import locate

_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg"})  # PNG files in the same folder are masks


class PersenseBenchmark(Benchmark):
    """The reference of each object is its image 00; the mask covers all objects of the kind."""

    name: ClassVar[str] = "persense-d"
    title: ClassVar[str] = "PerSense-D"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg   ROOT may also be the folder above data/\n"
        "ROOT/Images/<object>/{00..}.png   mask, grey above zero is the object\n"
        "Get it from the repository Muhammad-Ibraheem-Siddiqui/PerSense."
    )
    protocol: ClassVar[Protocol] = Protocol(formula="A", given_mask=True)
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D", "P")

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
        """
        check_rule(self, sampling)
        supports = first_by_name(self._images, sampling.shot)
        return episodes_by_class(self._images, supports, exclude=sampling.exclude_prompt)

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        root = locate(self.root, ["", "data"], ["Images/"], title=self.title, layout=self.layout)
        return paired_images(root, "Images", "Images", _IMAGE_SUFFIXES)
