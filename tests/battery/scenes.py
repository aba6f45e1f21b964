"""What every method is tried on: small photos with their masks, and what is wrong with some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from ipseg.rows import Image, Row
from ipseg.vision.images import decode, encode_png

_LONG_SIDE = 160
# Of each photo: centre and half axes of the ellipse that is taken for its object, shares of a side.
_OBJECTS = {"cup": ((0.46, 0.55), (0.33, 0.4)), "cat": ((0.5, 0.5), (0.32, 0.4))}


NAMES = ("cup", "cat", "both", "neither", "tall", "broken")


@dataclass(frozen=True)
class Scenes:
    """Files below one folder.

    Attributes:
        root: that folder.
    """

    root: Path

    @property
    def prompts(self) -> Path:
        """As for `ipseg segment --prompts`: cup.png, cat/1.png, cat/2.png, masks beside them."""
        return self.root / "prompts"

    def source(self, row_is: str) -> Path:
        """A folder of NAME.png, or of folders of two frames, for each of `NAMES`.

        "cup" is the very image of the prompt, "neither" holds no concept, "broken" is no image.
        """
        return self.root / ("sequences" if row_is == "sequence" else "images")

    def rows(self, row_is: str) -> list[Row]:
        """All images, or all sequences; keys are as in a run."""
        folder = self.source(row_is)
        if row_is == "image":
            return [{"key": f"{name}.png", "uri": f"{folder}/{name}.png"} for name in NAMES]
        frames = {name: [f"{folder}/{name}/{number}.png" for number in (0, 1)] for name in NAMES}
        return [{"key": name, "uri": uris[0], "frame_uris": uris} for name, uris in frames.items()]

    def shape(self, name: str) -> tuple[int, int]:
        """(H, W) of an image or of each frame of a sequence."""
        return decode((self.root / "images" / f"{name}.png").read_bytes()).shape[:2]


def write_scenes(root: Path, photos: dict[str, Image]) -> Scenes:
    """Writes all files below an empty folder."""
    small = {name: _small(photos[name]) for name in _OBJECTS}
    cup, cat = small["cup"], small["cat"]
    prompts = {"cup": (cup, _object(cup, "cup")), "cat/1": (cat, _object(cat, "cat"))}
    prompts["cat/2"] = tuple(each[:, ::-1] for each in prompts["cat/1"])
    for name, (image, mask) in prompts.items():
        _write(root / "prompts" / f"{name}.png", image)
        _write(root / "prompts" / f"{name}.mask.png", mask.astype(np.uint8) * 255)
    height = min(len(cup), len(cat))
    images = {
        "cup": cup,
        "cat": cat[10:, 20:],
        "both": np.concatenate([cup[:height], cat[:height, ::-1]], axis=1),
        "neither": np.dstack([_small(data.grass()[:200, :300])] * 3),
        "tall": np.rot90(cup),
    }
    for name, image in images.items():
        _write(root / "images" / f"{name}.png", image)
        for number, frame in enumerate((image, image[:, ::-1])):
            _write(root / "sequences" / name / f"{number}.png", frame)
    (root / "sequences" / "broken").mkdir()
    for place in ("images/broken.png", "sequences/broken/0.png", "sequences/broken/1.png"):
        (root / place).write_bytes(encode_png(cup)[:600])
    return Scenes(root)


def _small(image: Image) -> Image:
    scale = _LONG_SIDE / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _object(image: Image, name: str) -> np.ndarray:
    height, width = image.shape[:2]
    (x, y), (a, b) = _OBJECTS[name]
    centre, axes = (round(x * width), round(y * height)), (round(a * width), round(b * height))
    return cv2.ellipse(np.zeros((height, width), np.uint8), centre, axes, 0, 0, 360, 1, -1) > 0


def _write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.ascontiguousarray(image)))
