"""Images with several copies of an object: scaled, turned, partly hidden, some touching."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import center_of_mass

from ipseg.inputs import Prompt
from ipseg.rows import Image, Mask
from jobs.demo.collection import MASK_GIVEN, background
from jobs.demo.photos import concepts
from jobs.demo.scenes import Point, Scene, Unsuitable, fitted, paste

MOST_COPIES = 6
_TRIES = 400
_TOUCHING = 0.35  # share of the copies that are put beside an earlier one
_STRANGER = 0.5  # share of the images with one object of another concept

# Range of the size of a copy as a share of the image, and largest rotation.
_COPY: tuple[tuple[float, float], float] = ((0.03, 0.10), 30.0)
_COPIES = {"rocket": ((0.015, 0.05), 60.0), "astronaut": ((0.03, 0.10), 12.0)}
_BETWEEN = "#"  # concept and number, in the name of a copy


@dataclass(frozen=True)
class Copies:
    """An image and the instances in it.

    Attributes:
        image: (H, W, 3) uint8.
        instances: concept -> (H, W) bool, the visible part of each of its instances.
        touching: instances whose outline meets that of another one of the same concept.
    """

    image: Image
    instances: dict[str, list[Mask]]
    touching: int


def copies(images: int, *, seed: int = 0) -> Iterator[Copies]:
    """Makes images with 1 to 6 copies of an object each, as often as each other.

    Args:
        images: how many.
        seed: of all random choices; the same gives the same images.
    """
    names = sorted(concepts())
    for number in range(images):
        rng = np.random.default_rng([seed, number])
        count = 1 + number % MOST_COPIES
        # Over the rounds each concept meets each count.
        name = names[(number + number // MOST_COPIES) % len(names)]
        for _ in range(_TRIES):
            try:
                scene = fitted(_scene(name, count, rng))
            except Unsuitable:
                continue
            yield _copies_of(scene)
            break
        else:
            raise AssertionError(f"no suitable image of {count} {name!r} in {_TRIES} tries")


def demo_prompts() -> dict[str, Prompt]:
    """The prompts of the demo's collection."""
    given = {}
    for name, photo in concepts().items():
        left, top, right, bottom = photo.prompt
        image = np.ascontiguousarray(photo.image[top:bottom, left:right])
        outline = photo.alpha[top:bottom, left:right] > 0.5
        given[name] = Prompt(image, mask=outline if name in MASK_GIVEN else None)
    return given


def _scene(name: str, count: int, rng: np.random.Generator) -> Scene:
    scene = background(rng)
    if rng.random() < _STRANGER:
        other = str(rng.choice([each for each in sorted(concepts()) if each != name]))
        scene = _added(scene, other, 0, rng, None)
    for number in range(count):
        beside = number > 0 and rng.random() < _TOUCHING
        at = _beside(scene, f"{name}{_BETWEEN}{rng.integers(number)}", rng) if beside else None
        scene = _added(scene, name, number, rng, at)
    return scene


def _added(
    scene: Scene, name: str, number: int, rng: np.random.Generator, at: Point | None
) -> Scene:
    share, turn = _COPIES.get(name, _COPY)
    copy = f"{name}{_BETWEEN}{number}"
    return paste(scene, copy, concepts()[name], rng, share=share, turn=turn, at=at)


def _beside(scene: Scene, copy: str, rng: np.random.Generator) -> Point:
    """A point about as far from the middle of a copy as two of its radii."""
    mask = scene.masks[copy]
    row, column = center_of_mass(mask)
    reach = 2 * math.sqrt(float(mask.sum()) / math.pi) * rng.uniform(0.8, 1.1)
    angle = rng.uniform(0, 2 * math.pi)
    width, height = scene.size
    x, y = column + reach * math.cos(angle), row + reach * math.sin(angle)
    return float(np.clip(x, 0, width)), float(np.clip(y, 0, height))


def _copies_of(scene: Scene) -> Copies:
    instances: dict[str, list[Mask]] = {}
    for name in sorted(scene.masks):
        instances.setdefault(name.partition(_BETWEEN)[0], []).append(scene.masks[name])
    touching = sum(_touch(mask, masks) for masks in instances.values() for mask in masks)
    return Copies(scene.image, instances, touching)


def _touch(mask: Mask, masks: list[Mask]) -> bool:
    grown = np.pad(mask, 1)
    grown = grown[1:-1, :-2] | grown[1:-1, 2:] | grown[:-2, 1:-1] | grown[2:, 1:-1]
    return any((grown & other).any() for other in masks if other is not mask)
