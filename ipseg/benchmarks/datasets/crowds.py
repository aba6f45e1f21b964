"""Images of many instances, each numbered in its mask."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.datasets.folder import FolderBenchmark
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.protocol import Protocol


class CrowdsBenchmark(FolderBenchmark):
    """As `folder`, with ground truth in which each value is one instance.

    A prompt is one instance with its mask, in `prompts/`; without that folder it is the first image
    with all of its instances.
    """

    name: ClassVar[str] = "crowds"
    title: ClassVar[str] = "Images of many numbered instances"
    layout: ClassVar[str] = (
        "ROOT/images/<class>/NAME.jpg   (or another image format)\n"
        "ROOT/masks/<class>/NAME.png    8 or 16 bit: 0, and a number for each instance\n"
        "ROOT/prompts/<class>/          optional: prompt images, with NAME.mask.png as mask\n"
        "`ipseg data generate` makes two such folders."
    )
    protocol: ClassVar[Protocol] = Protocol(formula="F1", given_mask=True, mask_orientation="auto")
    formulas: ClassVar[tuple[str, ...]] = ("F1", "N", "AP", "AP50", "A", "B")

    @cached_property
    def _images(self) -> dict[str, tuple[Example, ...]]:
        return {
            name: tuple(map(_numbered, examples)) for name, examples in self._with_masks.items()
        }


def _numbered(example: Example) -> Example:
    file = example.ground_truth.removesuffix("#object")
    return replace(example, ground_truth=f"{file}#instances")
