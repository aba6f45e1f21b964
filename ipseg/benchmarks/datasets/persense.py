"""PerSense-D: many objects of a kind in each picture (PerSense, BMVC 2025).

Layout and count as in the repository Muhammad-Ibraheem-Siddiqui/PerSense: its `persense.py` reads
`data/Images/<object>/NN.jpg` with the mask `NN.png` beside, `eval_miou.py` takes grey above zero,
sums over each object's pictures but 00 and means over objects.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling, check_rule
from ipseg.benchmarks.datasets.class_folders import ask_by_class, paired_pictures
from ipseg.benchmarks.datasets.perseg import first_by_name
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import locate

_PICTURES = frozenset({".jpg", ".jpeg"})  # PNG is for the masks in the same folder


class PersenseBenchmark(Benchmark):
    """The reference of every object is its picture 00; the mask holds all objects of the kind."""

    name: ClassVar[str] = "persense-d"
    title: ClassVar[str] = "PerSense-D"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg   ROOT may also be the folder above data/\n"
        "ROOT/Images/<object>/{00..}.png   mask, any grey above zero is object\n"
        "Get it from the repository Muhammad-Ibraheem-Siddiqui/PerSense."
    )
    protocol: ClassVar[Protocol] = Protocol(formula="A", given_mask=True)
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D", "P")

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
        """
        check_rule(self, sampling)
        supports = first_by_name(self._pictures, sampling.shot)
        return ask_by_class(self._pictures, supports, exclude=sampling.exclude_prompt)

    @cached_property
    def _pictures(self) -> dict[str, tuple[Example, ...]]:
        root = locate(self.root, ["", "data"], ["Images/"], title=self.title, layout=self.layout)
        return paired_pictures(root, "Images", "Images", _PICTURES)
