"""PerSense-D: many objects of a kind in each image (PerSense, BMVC 2025).

Layout and evaluation as in the repository Muhammad-Ibraheem-Siddiqui/PerSense: its `persense.py`
reads `data/Images/<object>/NN.jpg` with the mask `NN.png` next to it; `eval_miou.py` thresholds
grey above zero, sums over the images of each object except 00 and averages over objects.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.datasets.class_folders import paired_images
from ipseg.benchmarks.datasets.perseg import PersegBenchmark
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.protocol import Protocol

_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg"})  # PNG files in the same folder are masks


class PersenseBenchmark(PersegBenchmark):
    """References and episodes as in PerSeg; the mask covers all objects of the kind."""

    name: ClassVar[str] = "persense-d"
    title: ClassVar[str] = "PerSense-D"
    layout: ClassVar[str] = (
        "ROOT/Images/<object>/{00..}.jpg   ROOT may also be the folder above data/\n"
        "ROOT/Images/<object>/{00..}.png   mask, grey above zero is the object\n"
        "Get it from the repository Muhammad-Ibraheem-Siddiqui/PerSense."
    )
    needed: ClassVar[tuple[str, ...]] = ("Images/",)
    rules: ClassVar[dict[str, str]] = {}
    protocol: ClassVar[Protocol] = Protocol(formula="A", given_mask=True)
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D", "P")

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return paired_images(self._base, "Images", "Images", _IMAGE_SUFFIXES)
