"""New images from the photos, with masks that are transformed exactly like the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Image, Mask
from ipseg.vision.images import decode, encode_jpeg
from jobs.demo.photos import Photo

Point = tuple[float, float]  # x, y
Size = tuple[int, int]  # width, height

LEAST_KEPT = 0.35  # of the area of an object: below it, people would not recognise it
LEAST_SHARE = 0.01  # of the image
SMALLEST, LARGEST = 320, 720  # pixels of the long side
MOST_SHARE = 0.8  # of the image: above it, there is hardly an outline to find
_LARGEST_ZOOM = 2.0  # above it, pixels of the photo become visible
_FEATHER = 0.9  # pixels, standard deviation of the soft edge of pasted objects


class Unsuitable(Exception):  # noqa: N818  (not an error: another draw can succeed)
    """The random choices gave an image that would not be a fair test."""


@dataclass(frozen=True)
class Scene:
    """An image and the objects in it.

    Attributes:
        image: (H, W, 3) uint8.
        masks: concept -> (H, W) bool, only for concepts in the image.
    """

    image: Image
    masks: dict[str, Mask] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]


def draw_size(rng: np.random.Generator) -> Size:
    """An image size: portrait, square or landscape, with a long side within the limits."""
    long_side = int(rng.integers(SMALLEST, LARGEST + 1))
    short_side = round(long_side * float(rng.choice([2 / 3, 3 / 4, 0.8, 1.0])))
    return (long_side, short_side) if rng.random() < 0.6 else (short_side, long_side)


@dataclass(frozen=True)
class Placement:
    """A transform from a photo to an image.

    Attributes:
        matrix: (2, 3), from pixel indices in the photo to those in the image.
        size: of the image.
        zoom: pixels of the image per pixel of the photo.
    """

    matrix: npt.NDArray[np.float64]
    size: Size
    zoom: float

    @classmethod
    def of(
        cls,
        source: Point,
        target: Point,
        size: Size,
        zoom: float,
        *,
        angle: float = 0.0,
        flip: bool = False,
    ) -> Placement:
        """Maps point `source` of the photo to `target`, rotates by `angle` degrees, mirrors."""
        cosine, sine = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
        turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
        # Indices refer to pixel centres, half a pixel from the corners that coordinates refer to.
        shift = np.array(target) - turn @ np.array(source) + turn @ [0.5, 0.5] - 0.5
        return cls(np.column_stack([turn, shift]), size, zoom)

    def apply(
        self, photo: npt.NDArray[Any], border: int = cv2.BORDER_REFLECT_101
    ) -> npt.NDArray[Any]:
        """The transformed photo, or a map of it."""
        if self.zoom < 1:  # against aliasing
            sigma = 0.5 * math.sqrt(1 / self.zoom**2 - 1)
            photo = cv2.GaussianBlur(photo, (0, 0), max(sigma, 0.05))
        return cv2.warpAffine(
            photo, self.matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=border
        )


def framed(
    image: Image,
    size: Size,
    rng: np.random.Generator,
    *,
    angle: float = 0.0,
    flip: bool = False,
    closeness: tuple[float, float] = (1.05, 1.8),
) -> Placement:
    """Chooses a rectangle inside of a photo, so that rotation leaves no empty corners.

    Args:
        image: (H, W, 3) photo.
        size: width and height; both shrink if the photo has too few pixels for it.
        rng: for position and zoom.
        angle: degrees.
        flip: mirror left and right.
        closeness: range of the zoom; 1 is the largest rectangle that fits, 2 half of its sides.

    Raises:
        Unsuitable: the photo has too few pixels there for an image of `SMALLEST`.
    """
    height, width = image.shape[:2]
    cosine, sine = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    spans = np.array([[cosine, sine], [sine, cosine]]) @ size
    zoom = float(max(spans / (width, height))) * rng.uniform(*closeness)
    if zoom > _LARGEST_ZOOM:
        size = round(size[0] * _LARGEST_ZOOM / zoom), round(size[1] * _LARGEST_ZOOM / zoom)
        spans *= _LARGEST_ZOOM / zoom
        zoom = _LARGEST_ZOOM
    if max(size) < SMALLEST:
        raise Unsuitable("the photo has too few pixels for this frame")
    reach = spans / zoom / 2
    centre = rng.uniform(reach, np.maximum(np.array([width, height]) - reach, reach))
    target = (size[0] / 2, size[1] / 2)
    return Placement.of((centre[0], centre[1]), target, size, zoom, angle=angle, flip=flip)


def framed_scene(concept: str, photo: Photo, place: Placement) -> Scene:
    """The framed photo of a concept, with its mask.

    Raises:
        Unsuitable: too little of the object is in the frame.
    """
    scene = Scene(place.apply(photo.image), {concept: place.apply(photo.alpha) >= 0.5})
    _require_visible(scene, {concept: float(photo.alpha.sum()) * place.zoom**2})
    return scene


def paste(
    scene: Scene,
    concept: str,
    photo: Photo,
    rng: np.random.Generator,
    *,
    share: tuple[float, float],
    turn: float,
    at: Point | None = None,
) -> Scene:
    """Pastes the object of a photo in front of a scene, with a soft edge.

    Args:
        scene: not modified.
        concept: name of the object.
        photo: of the object.
        rng: for size, angle, mirroring and position; a part of the object can be outside.
        share: range of the area of the object, as a share of the image.
        turn: largest angle, degrees.
        at: where its middle comes to lie, pixels; None for anywhere but the margins.

    Raises:
        Unsuitable: too little of it, or of an earlier object, is visible.
    """
    width, height = scene.size
    area = float(photo.alpha.sum())
    rows, columns = np.nonzero(photo.alpha)
    extent = math.hypot(np.ptp(rows), np.ptp(columns))
    zoom = math.sqrt(rng.uniform(*share) * width * height / area)
    zoom = min(zoom, _LARGEST_ZOOM, 1.05 * max(width, height) / extent)
    middle = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
    anywhere = width * rng.uniform(0.15, 0.85), height * rng.uniform(0.15, 0.85)
    target = anywhere if at is None else at
    angle, flip = rng.uniform(-turn, turn), bool(rng.random() < 0.5)
    place = Placement.of(middle, target, scene.size, zoom, angle=angle, flip=flip)

    alpha = place.apply(photo.alpha, cv2.BORDER_CONSTANT)
    pixels = relight(place.apply(photo.image), rng, strength=0.5)
    soft = cv2.GaussianBlur(alpha, (0, 0), _FEATHER)[..., None]
    image = np.rint(pixels * soft + scene.image * (1 - soft)).astype(np.uint8)
    front = alpha >= 0.5
    masks = {name: mask & ~front for name, mask in scene.masks.items()} | {concept: front}
    pasted = Scene(image, masks)
    before = {name: float(mask.sum()) for name, mask in scene.masks.items()}
    _require_visible(pasted, before | {concept: area * zoom**2})
    return pasted


def side_by_side(scenes: Sequence[Scene], *, stacked: bool) -> Scene:
    """Joins scenes of different concepts, next to or above each other."""
    short = min(scene.image.shape[1 if stacked else 0] for scene in scenes)
    scaled = [_rescaled(scene, short / scene.image.shape[1 if stacked else 0]) for scene in scenes]
    axis = 0 if stacked else 1
    starts = np.cumsum([0, *(scene.image.shape[axis] for scene in scaled)])
    image = np.concatenate([scene.image for scene in scaled], axis=axis)
    masks = {}
    for start, scene in zip(starts, scaled, strict=False):
        for name, mask in scene.masks.items():
            masks[name] = np.zeros(image.shape[:2], bool)
            place = np.s_[start : start + mask.shape[axis]]
            masks[name][(place, slice(None)) if stacked else (slice(None), place)] = mask
    joined = Scene(image, masks)
    _require_visible(joined, {})
    return joined


def fitted(scene: Scene) -> Scene:
    """The scene with a long side of at most `LARGEST`."""
    return _rescaled(scene, min(1.0, LARGEST / max(scene.size)))


def relight(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Changes exposure and white balance: gamma and a gain for each channel."""
    gamma = math.exp(rng.uniform(-0.55, 0.55) * strength)
    gains = np.exp(rng.uniform(-0.16, 0.16, size=3) * strength)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gains * 255
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.stack([table[image[..., band], band] for band in range(3)], axis=-1)


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """Adds one or two of noise, blur and coarse JPEG, like cheap cameras and web sites."""
    faults = rng.choice(3, size=int(rng.integers(1, 3)), replace=False)
    if 0 in faults:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 1.8))
    if 1 in faults:
        noise = rng.normal(0, rng.uniform(5, 14), image.shape)
        image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    if 2 in faults:
        image = decode(encode_jpeg(image, quality=int(rng.integers(18, 45))))
    return image


def _require_visible(scene: Scene, whole: dict[str, float]) -> None:
    """Raises `Unsuitable` if an object fills the image or too little of it is visible."""
    for concept, mask in scene.masks.items():
        visible = float(mask.sum())
        least = max(LEAST_KEPT * whole.get(concept, 0.0), LEAST_SHARE * mask.size)
        if not least <= visible <= MOST_SHARE * mask.size:
            raise Unsuitable(concept)


def _rescaled(scene: Scene, factor: float) -> Scene:
    if factor == 1:
        return scene
    width, height = (max(1, round(side * factor)) for side in scene.size)
    image = cv2.resize(scene.image, (width, height), interpolation=cv2.INTER_AREA)
    masks = {
        name: cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        >= 0.5
        for name, mask in scene.masks.items()
    }
    return Scene(image, masks)
