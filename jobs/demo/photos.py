"""Photos for the demo, from scikit-image, with hand-drawn outlines.

All coordinates are pixels of the original photo, x to the right, y down; pixel `i` covers
`[i, i + 1)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from skimage import color, data

from ipseg.rows import Image, Map
from ipseg.vision.masks import decode_rle

Box = tuple[int, int, int, int]  # left, top, right, bottom

_SUBPIXELS = 4  # outlines are filled at this multiple of the photo size, for soft edges

# The textures have no colour: (hue, saturation) of a natural tint.
_TINTS = {
    "grass": (0.27, 0.45),
    "brick": (0.03, 0.45),
    "gravel": (0.09, 0.15),
    "moon": (0.10, 0.05),
    "camera": (0.08, 0.12),
    "coins": (0.10, 0.25),
    "page": (0.11, 0.10),
    "clock": (0.09, 0.15),
}
_COLOUR_BACKGROUNDS = ("hubble_deep_field", "immunohistochemistry", "retina")

# Parts of the concept photos without any of the concepts: the hardest negatives.
_EMPTY_PARTS: tuple[tuple[str, Box], ...] = (
    ("rocket", (0, 0, 285, 427)),
    ("rocket", (360, 0, 640, 427)),
    ("coffee", (412, 0, 600, 400)),
    ("stereo_motorcycle", (0, 0, 320, 128)),
)


@dataclass(frozen=True)
class Photo:
    """A photo with one outlined object.

    Attributes:
        image: (H, W, 3) uint8, the used part of the photo.
        alpha: (H, W) float32 in [0, 1], the share of the object in each pixel.
        prompt: the part of `image` that is the prompt.
        note: what belongs to the object.
    """

    image: Image
    alpha: Map
    prompt: Box
    note: str


def fill(rings: Sequence[Sequence[Sequence[float]]], shape: tuple[int, int]) -> Map:
    """Fills polygons by the even-odd rule, so that a ring inside of a ring is a hole.

    Args:
        rings: closed outlines of (x, y) in pixels.
        shape: height and width of the result.

    Returns:
        (H, W) float32 in [0, 1], the covered share of each pixel.
    """
    height, width = shape
    fine = np.zeros((height * _SUBPIXELS, width * _SUBPIXELS), bool)
    for ring in rings:
        corners = (np.asarray(ring, np.float64) * _SUBPIXELS).ravel().tolist()
        (encoded,) = coco.frPyObjects([corners], *fine.shape)
        fine ^= decode_rle({**encoded, "counts": encoded["counts"].decode("ascii")})
    blocks = fine.reshape(height, _SUBPIXELS, width, _SUBPIXELS)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)


@cache
def concepts() -> dict[str, Photo]:
    """The outlined photos, one for each concept."""
    outlines: dict[str, Any] = json.loads(
        (files("jobs.demo") / "outlines.json").read_text(encoding="utf-8")
    )
    photos = {}
    for name, outline in outlines.items():
        image = _original(outline["photo"])
        left, top, right, bottom = outline["window"]
        x0, y0, x1, y1 = outline["prompt"]
        photos[name] = Photo(
            image=image[top:bottom, left:right],
            alpha=fill(outline["rings"], image.shape[:2])[top:bottom, left:right],
            prompt=(x0 - left, y0 - top, x1 - left, y1 - top),
            note=outline["note"],
        )
    return photos


@cache
def backgrounds() -> dict[str, Image]:
    """Photos and textures without any of the concepts."""
    found = {name: _original(name) for name in _COLOUR_BACKGROUNDS}
    # The 1411 px fundus photo is halved once, instead of being blurred for each view.
    found["retina"] = cv2.resize(
        found["retina"], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
    )
    for name, (hue, saturation) in _TINTS.items():
        grey = _original(name)[..., 0].astype(np.float64) / 255
        hsv = np.stack([np.full_like(grey, hue), np.full_like(grey, saturation), grey], axis=-1)
        found[name] = np.rint(color.hsv2rgb(hsv) * 255).astype(np.uint8)
    return found


@cache
def empty_parts() -> dict[str, Image]:
    """Parts of the concept photos without any of the concepts."""
    found = {}
    for name, (left, top, right, bottom) in _EMPTY_PARTS:
        found[f"{name}-x{left}"] = _original(name)[top:bottom, left:right]
    return found


def _original(name: str) -> Image:
    loaded = getattr(data, name)()
    image: npt.NDArray[np.uint8] = loaded[0] if isinstance(loaded, tuple) else loaded
    return np.ascontiguousarray(image if image.ndim == 3 else np.dstack([image] * 3))
