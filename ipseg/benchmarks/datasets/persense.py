"""PerSense-D: many objects of a kind in each image (PerSense, BMVC 2025).

Layout and evaluation as in the repository Muhammad-Ibraheem-Siddiqui/PerSense: its `persense.py`
reads `data/Images/<object>/NN.jpg` with the mask `NN.png` next to it; `eval_miou.py` thresholds
grey above zero, sums over the images of each object except 00 and averages over objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.benchmark import Sampling, Task
from ipseg.benchmarks.datasets.class_folders import files_by_class, paired_images, stem
from ipseg.benchmarks.datasets.perseg import FIRST, PersegBenchmark, first_by_name
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.protocol import Protocol

_RELEASED = "released"
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
    rules: ClassVar[dict[str, str]] = {
        _RELEASED: "as scored by the release: images 00 to (files - 2) / 2 of a folder, none with "
        "00 anywhere in its path, masks paired with predictions in their order"
    }
    one_shot: ClassVar[tuple[str, ...]] = (_RELEASED,)
    protocol: ClassVar[Protocol] = Protocol(formula="A", given_mask=True)
    protocols: ClassVar[dict[str, Protocol]] = {
        _RELEASED: Protocol(formula="A", given_mask=True, pairing="order")
    }
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D", "P")

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        if sampling.rule != _RELEASED:
            yield from super()._tasks(fold, sampling)
            return
        supports = first_by_name(self._images, 1)
        listed = files_by_class(f"{self._base}/Images")
        for class_id, (name, examples) in enumerate(self._images.items()):
            # Two files more than images and masks are taken to be in each folder.
            run = {f"{number:02}" for number in range((len(listed[name]) - 2) // 2)}
            for example in examples:
                if stem(example.uri) in run and FIRST not in example.key:
                    yield class_id, example, supports[name]

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return paired_images(self._base, "Images", "Images", _IMAGE_SUFFIXES)
