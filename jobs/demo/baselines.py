"""What no method should be worse than: three guesses that do not look at the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from ipseg.metrics import Counts, MeanIoU
from ipseg.rows import Image, Map, Mask


class Isolates(Protocol):
    """The part of a saliency component that is used here."""

    def isolate(self, image: Image) -> Map:
        """(H, W) float32 in [0, 1], the object that stands out."""
        ...


def whole_frame(shape: tuple[int, int]) -> Mask:
    """All foreground; `shape` is (height, width)."""
    return np.ones(shape, bool)


def centre_ellipse(shape: tuple[int, int]) -> Mask:
    """An ellipse in the middle with the proportions of the frame.

    Its half axes are `width / (2 * sqrt(2))` and `height / (2 * sqrt(2))`: it is the ellipse drawn
    in the centred rectangle of half the frame's area, and covers pi / 8 = 39 % of the frame.
    """
    height, width = shape
    x = (2 * np.arange(width) + 1 - width) / width  # pixel centres, the frame from -1 to 1
    y = (2 * np.arange(height) + 1 - height) / height
    return x**2 + y[:, None] ** 2 <= 1 / 2


def baseline_masks(image: Image, saliency: Isolates | None = None) -> dict[str, Mask]:
    """The guesses for one image; the one by saliency is left out without a saliency component."""
    shape = (image.shape[0], image.shape[1])
    guesses = {"all foreground": whole_frame(shape), "centre ellipse": centre_ellipse(shape)}
    if saliency is not None:
        guesses["saliency of the image"] = saliency.isolate(image) >= 0.5
    return guesses


def baseline_ious(
    examples: Iterable[tuple[Image, Mapping[str, Mask]]], saliency: Isolates | None = None
) -> dict[str, float]:
    """Mean IoU of each guess over all pairs of an image and a concept present in it.

    Args:
        examples: images with the masks of the concepts they show; absent concepts have no entry.
        saliency: set up and ready, or None.

    Returns:
        Baseline -> mean IoU in [0, 1]; empty if no image shows any concept.
    """
    means: dict[str, MeanIoU] = {}
    for image, masks in examples:
        guesses = baseline_masks(image, saliency) if masks else {}
        for mask in masks.values():
            for name, guess in guesses.items():
                counts = Counts.of(guess, mask)
                means.setdefault(name, MeanIoU()).add(counts.intersection, counts.union)
    return {name: mean.value for name, mean in means.items() if mean.value is not None}
