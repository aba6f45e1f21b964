"""Generated scenes of toys: patterned shapes on a noisy ground, with the mask of each.

A kind of toy has a shape, a pattern and two colours; toys of one kind differ in size, angle and
shade, so that the very same toy, toys of its kind and all that is of its kind are three questions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Image, Mask
from ipseg.vision.images import encode_png
from ipseg.vision.masks import encode_rle, rle_area, rle_bbox

SHAPES = ("disc", "square", "triangle", "cross")
PATTERNS = ("plain", "stripes", "checks", "dots")
SIDE = 128  # pixels of a scene
_LEAST = 0.4  # of a toy that others may hide
_TRIES = 40

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of toy.

    Attributes:
        shape: of `SHAPES`.
        pattern: of `PATTERNS`.
        colours: two, RGB in [0, 255].
    """

    shape: str
    pattern: str
    colours: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Toy:
    """One toy.

    Attributes:
        kind: its number among the kinds.
        shade: factor of its brightness.
        angle: in radians.
        size: half its width, pixels.
        centre: x and y, pixels.
    """

    kind: int
    shade: float
    angle: float
    size: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class ToyScene:
    """An image and the toys in it.

    Attributes:
        image: (H, W, 3) uint8.
        toys: as they were drawn, the last one in front.
        masks: of each, without what hides it.
    """

    image: Image
    toys: list[Toy]
    masks: list[Mask]


def draw_kinds(count: int, random: np.random.Generator) -> list[Kind]:
    """Kinds of toys, all colours and patterns alike."""
    return [
        Kind(
            SHAPES[random.integers(len(SHAPES))],
            PATTERNS[random.integers(len(PATTERNS))],
            (tuple(random.uniform(0, 255, 3)), tuple(random.uniform(0, 255, 3))),
        )
        for _ in range(count)
    ]


def draw_scene(
    kinds: Sequence[Kind], wanted: Sequence[Toy], random: np.random.Generator
) -> ToyScene | None:
    """A scene with these toys; None if one hides too much of another."""
    image, masks = _ground(random), []
    sizes: list[int] = []
    for toy in wanted:
        mask, colours = _painted(kinds[toy.kind], toy)
        image = np.where(mask[..., None], colours, image)
        masks = [other & ~mask for other in masks] + [mask]
        sizes.append(int(mask.sum()))
    if any(m.sum() < max(60, _LEAST * s) for m, s in zip(masks, sizes, strict=True)):
        return None
    noisy = image + random.normal(0, 6, image.shape)
    return ToyScene(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), list(wanted), masks)


def random_scene(
    kinds: Sequence[Kind],
    chosen: Sequence[int],
    random: np.random.Generator,
    kept: Sequence[Toy] = (),
) -> ToyScene:
    """A scene with one or two toys of each chosen kind.

    Args:
        kinds: all kinds.
        chosen: numbers of those that are in it.
        random: for places, sizes and shades.
        kept: toys that are in it too, somewhere else and turned.
    """
    for _ in range(_TRIES):
        toys = [_moved(toy, random) for toy in kept]
        for kind in chosen:
            toys += [_toy(kind, random) for _ in range(int(random.integers(1, 3)))]
        scene = draw_scene(kinds, [toys[i] for i in random.permutation(len(toys))], random)
        if scene is not None:
            return scene
    return random_scene(kinds, chosen[:1], random, kept)


def write_coco(folder: Path, scenes: Sequence[ToyScene], kinds: int) -> None:
    """Writes FOLDER/images/train/ and annotations in COCO's format."""
    (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for number, scene in enumerate(scenes, start=1):
        name = f"{number:05}.png"
        (folder / "images" / "train" / name).write_bytes(encode_png(scene.image))
        images.append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
        for toy, mask in zip(scene.toys, scene.masks, strict=True):
            rle = encode_rle(mask)
            annotations.append(
                {
                    **{"id": len(annotations) + 1, "image_id": number, "iscrowd": 0},
                    **{"category_id": toy.kind + 1, "segmentation": rle},
                    **{"area": rle_area(rle), "bbox": rle_bbox(rle)},
                }
            )
    categories = [{"id": kind + 1, "name": f"toy {kind + 1}"} for kind in range(kinds)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


def _toy(kind: int, random: np.random.Generator) -> Toy:
    toy = Toy(kind, random.uniform(0.55, 1.0), 0.0, random.uniform(13, 22), (0.0, 0.0))
    return _moved(toy, random)


def _moved(toy: Toy, random: np.random.Generator) -> Toy:
    centre = tuple(random.uniform(0.14 * SIDE, 0.86 * SIDE, 2))
    return replace(toy, centre=centre, angle=random.uniform(0, 2 * np.pi))


def _ground(random: np.random.Generator) -> Floats:
    grey = random.uniform(60, 195) + random.uniform(-15, 15, 3)
    coarse = grey + random.normal(0, 14, (5, 5, 3))
    ground: Floats = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return ground


def _painted(kind: Kind, toy: Toy) -> tuple[Mask, Floats]:
    """Its mask, and its colours over the whole scene."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    dx, dy = (x - toy.centre[0]) / toy.size, (y - toy.centre[1]) / toy.size
    cosine, sine = np.cos(toy.angle), np.sin(toy.angle)
    u, v = cosine * dx + sine * dy, cosine * dy - sine * dx
    mask = {
        "disc": u**2 + v**2 < 1,
        "square": (abs(u) < 0.9) & (abs(v) < 0.9),
        "triangle": (v < 0.8) & (v > 2 * abs(u) - 1.1),
        "cross": ((abs(u) < 0.4) & (abs(v) < 1)) | ((abs(v) < 0.4) & (abs(u) < 1)),
    }[kind.shape]
    second = {
        "plain": np.zeros_like(mask),
        "stripes": np.sin(7 * u) > 0,
        "checks": np.sin(7 * u) * np.sin(7 * v) > 0,
        "dots": np.cos(7 * u) + np.cos(7 * v) > 0.7,
    }[kind.pattern]
    colours = np.where(second[..., None], kind.colours[1], kind.colours[0])
    return mask, toy.shade * colours
