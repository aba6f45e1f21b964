"""Three baselines that do not use the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ipseg.metrics import Counts, MeanIoU
from ipseg.rows import Image, Mask
from ipseg.saliency import Saliency


def whole_frame(shape: tuple[int, int]) -> Mask:
    """All foreground; `shape` is (height, width)."""
    return np.ones(shape, bool)


def centre_ellipse(shape: tuple[int, int]) -> Mask:
    """A centred ellipse with the aspect ratio of the frame.

    Its half axes are `width / (2 * sqrt(2))` and `height / (2 * sqrt(2))`: it is inscribed in the
    centred rectangle of half the area of the frame, and covers pi / 8 = 39 % of the frame.
    """
    height, width = shape
    x = (2 * np.arange(width) + 1 - width) / width  # pixel centres, the frame from -1 to 1
    y = (2 * np.arange(height) + 1 - height) / height
    return x**2 + y[:, None] ** 2 <= 1 / 2


def baseline_masks(image: Image, saliency: Saliency | None = None) -> dict[str, Mask]:
    """The baselines for one image; without a saliency component, that by saliency is left out."""
    shape = (image.shape[0], image.shape[1])
    guesses = {"all foreground": whole_frame(shape), "centre ellipse": centre_ellipse(shape)}
    if saliency is not None:
        guesses["saliency of the image"] = saliency.isolate(image) >= 0.5
    return guesses


def baseline_ious(
    examples: Iterable[tuple[Image, Mapping[str, Mask]]], saliency: Saliency | None = None
) -> dict[str, float]:
    """Mean IoU of each baseline over all pairs of an image and a concept in it.

    Args:
        examples: images with the masks of the concepts in them.
        saliency: after `setup`, or None.

    Returns:
        Baseline -> mean IoU in [0, 1]; empty if no image contains a concept.
    """
    means: dict[str, MeanIoU] = {}
    for image, masks in examples:
        guesses = baseline_masks(image, saliency) if masks else {}
        for mask in masks.values():
            for name, guess in guesses.items():
                counts = Counts.of(guess, mask)
                means.setdefault(name, MeanIoU()).add(counts.intersection, counts.union)
    return {name: mean.value for name, mean in means.items() if mean.value is not None}
