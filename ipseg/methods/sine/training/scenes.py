"""An annotated image, and a crop of it on the network's canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from ipseg.methods.sine.training.settings import Pairs
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.rows import Image

Numbers = npt.NDArray[np.int64]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """An image and its objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        masks: (n, H, W) bool.
        ids: (n,), the number of each object in its collection.
        classes: (n,), the number of its class.
    """

    image: Image
    masks: Masks
    ids: Numbers
    classes: Numbers


@dataclass(frozen=True)
class View:
    """A crop of a scene on its canvas, with the objects that are left, ordered by class.

    Attributes:
        pixels: (3, S, S) float32, normalised; zero right of the image and below it.
        masks: (n, S, S) bool.
        ids: (n,) int64.
        classes: (n,) int64.
    """

    pixels: Tensor
    masks: Tensor
    ids: Tensor
    classes: Tensor

    @property
    def present(self) -> Tensor:
        """(k,) classes that it has objects of, in order."""
        return self.classes.unique()  # type: ignore[no-untyped-call]

    def only(self, classes: Tensor) -> View:
        """Without objects of other classes."""
        kept = torch.isin(self.classes, classes)
        return View(self.pixels, self.masks[kept], self.ids[kept], self.classes[kept])


def augmented(scene: Scene, settings: Pairs, random: np.random.Generator) -> View:
    """A scene mirrored or not, at another size, and cut to the canvas.

    The size is a random share of the one that fits the canvas; of what is larger than the canvas a
    part is cut out, whose place is one random number for both axes, as released.

    Args:
        scene: with n objects.
        settings: of pairs.
        random: for flip, size and place.
    """
    flip = random.random() < settings.flip
    share = random.uniform(settings.smallest, settings.largest)
    place = random.random()
    height, width = scene.image.shape[:2]
    scale = share * settings.side / max(height, width)
    size = tuple(max(1, round(length * scale)) for length in (height, width))
    visible = tuple(min(length, settings.side) for length in size)
    start = tuple(round(place * (whole - part)) for whole, part in zip(size, visible, strict=True))

    image, masks = scene.image, scene.masks
    if flip:
        image, masks = image[:, ::-1], masks[..., ::-1]
    whole = PillowImage.fromarray(np.ascontiguousarray(image))
    resized = whole.resize(size[::-1], PillowImage.Resampling.BILINEAR)
    cut = np.asarray(
        resized.crop((start[1], start[0], start[1] + visible[1], start[0] + visible[0]))
    )
    rows, columns = (
        np.floor((np.arange(first, first + part) + 0.5) * length / full).astype(np.int64)
        for first, part, length, full in zip(start, visible, (height, width), size, strict=True)
    )
    near = torch.from_numpy(np.ascontiguousarray(masks[:, rows[:, None], columns]))
    padding = (0, settings.side - visible[1], 0, settings.side - visible[0])
    pixels = functional.pad(normalised(to_pixels([cut]), IMAGENET_MEAN, IMAGENET_STD)[0], padding)
    left = near.flatten(1).any(dim=1)
    classes = torch.from_numpy(scene.classes)[left]
    order = classes.argsort(stable=True)
    return View(
        pixels,
        functional.pad(near[left][order], padding),
        torch.from_numpy(scene.ids)[left][order],
        classes[order],
    )
