"""Crowds to count in: generated ones, and a photo of coins; in the layout of benchmark `crowds`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data

from ipseg.errors import OutputError
from ipseg.inputs import Prompt
from ipseg.rows import Image, Mask
from ipseg.vision.images import encode_png
from jobs.demo.coins import coin_prompt, coins, one_coin
from jobs.output import write_file

FEWEST, MOST = 10, 80  # copies in an image
_SIZE = (480, 640)  # height, width of an image
_HALF = (14, 17)  # half axes of a copy at scale 1, pixels
_SCALES = (0.6, 1.5)
_HIDDEN = 0.3  # share of the smaller one of two copies that may be covered
_FAR = 60  # pixels between middles, from which two copies cannot meet
_TRIES = 4000

_data: Any = skimage.data  # comes without types


@dataclass(frozen=True)
class Crowd:
    """An image of many.

    Attributes:
        concept: whose copies they are.
        image: (H, W, 3) uint8.
        numbers: (H, W) uint8, 0 off all copies, else the number of the copy on top, from 1.
        boxes: (n, 4) int x0, y0, x1, y1 of each copy, what is covered included.
        scales: (n,) sizes of the copies.
    """

    concept: str
    image: Image
    numbers: np.ndarray[Any, np.dtype[np.uint8]]
    boxes: np.ndarray[Any, np.dtype[np.int64]]
    scales: np.ndarray[Any, np.dtype[np.float64]]


def objects() -> dict[str, Image]:
    """Concept -> (h, w, 3) uint8, the part of a photo whose inner ellipse is copied."""
    return {"cup": _data.coffee()[100:200, 200:300], "cat": _data.chelsea()[80:180, 150:250]}


def crowd(seed: int, *, turned: bool = False) -> Crowd:
    """10 to 80 copies of an object on a texture, 0.6 to 1.5 times as large, some partly covered.

    Of two copies at most 30 % of the smaller one is covered.

    Args:
        seed: the same gives the same.
        turned: each copy is turned by an angle of its own, and half of them are mirrored.
    """
    random = np.random.default_rng(seed)
    height, width = _SIZE
    ground = [_data.grass(), _data.gravel(), _data.brick()][seed % 3][:240, :320]
    image = np.dstack([cv2.resize(ground, (width, height)) // 3 + 40] * 3)
    concept, photo = list(objects().items())[seed % 2]
    boxes: list[list[int]] = []
    masks: list[Mask] = []
    scales: list[float] = []
    wanted = int(random.integers(FEWEST, MOST + 1))
    for _ in range(_TRIES):
        if len(boxes) == wanted:
            break
        scale = float(random.uniform(*_SCALES))
        half = np.array([round(_HALF[1] * scale), round(_HALF[0] * scale)])
        # A copy that is turned may reach as far to any side as to its longer one.
        reach = np.full(2, half.max()) if turned else half
        x, y = random.integers(reach + 1, np.array([width - 1, height - 1]) - reach)
        degrees = int(random.integers(360)) if turned else 0
        ellipse = np.zeros(_SIZE, np.uint8)
        cv2.ellipse(ellipse, (int(x), int(y)), half.tolist(), degrees, 0, 360, 1, -1)
        mask = ellipse > 0
        near = (
            other
            for other, box in zip(masks, boxes, strict=True)
            if np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2) < _FAR
        )
        if any((mask & m).sum() > _HIDDEN * min(mask.sum(), m.sum()) for m in near):
            continue
        part = slice(y - reach[1], y + reach[1] + 1), slice(x - reach[0], x + reach[0] + 1)
        copy = np.asarray(cv2.resize(photo, (2 * int(half[0]) + 1, 2 * int(half[1]) + 1)))
        if turned:
            copy = _turned(copy, degrees, int(reach[0]), mirrored=bool(random.integers(2)))
        image[part][mask[part]] = copy[mask[part]]
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        boxes.append([int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])])
        masks.append(mask)
        scales.append(scale)
    numbers = np.zeros(_SIZE, np.uint8)
    for number, mask in enumerate(masks, start=1):
        numbers[mask] = number
    return Crowd(concept, image, numbers, np.array(boxes), np.array(scales))


def _turned(copy: Image, degrees: int, reach: int, *, mirrored: bool) -> Image:
    """A copy turned clockwise about its middle, in a square of 2 `reach` + 1 pixels."""
    height, width = copy.shape[:2]
    matrix = cv2.getRotationMatrix2D((width // 2, height // 2), -degrees, 1.0)
    matrix[:, 2] += (reach - width // 2, reach - height // 2)
    given = np.ascontiguousarray(copy[:, ::-1]) if mirrored else copy
    size = (2 * reach + 1, 2 * reach + 1)
    return np.asarray(cv2.warpAffine(given, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def prompts() -> dict[str, Prompt]:
    """One copy of each object at its full size, with its mask."""
    given = {}
    for name, photo in objects().items():
        height, width = photo.shape[:2]
        ellipse = np.zeros((height, width), np.uint8)
        middle, half = (width // 2, height // 2), (width // 2 - 1, height // 2 - 1)
        cv2.ellipse(ellipse, middle, half, 0, 0, 360, 1, -1)
        given[name] = Prompt(np.ascontiguousarray(photo), mask=ellipse > 0)
    return given


def write_crowds(folder: Path, images: int, *, seed: int = 0, turned: bool = False) -> list[Path]:
    """Writes generated crowds and the photo of coins, each as a data root of benchmark `crowds`.

    Args:
        folder: to write to: FOLDER/generated, or FOLDER/turned, and FOLDER/coins.
        images: generated ones.
        seed: of the first; the same gives the same images.
        turned: as in `crowd`.

    Returns:
        Both data roots.

    Raises:
        OutputError: they cannot be written, or there are images of an earlier call besides.
    """
    generated, photo = folder / ("turned" if turned else "generated"), folder / "coins"
    names = set()
    for number in range(images):
        made = crowd(seed + number, turned=turned)
        _write(generated, made.concept, f"{number:03}", made.image, made.numbers)
        names.add(made.concept)
    if more := len(list(generated.glob("images/*/*.png"))) - images:
        raise OutputError(
            f"{generated} holds {more} images of an earlier call, too, which would be counted with "
            f"the {images} new ones; remove it and start again, or choose another --out"
        )
    for name, prompt in prompts().items():
        if name in names:
            _write_prompt(generated, name, prompt)
    image, masks = coins()
    numbers = np.zeros(image.shape[:2], np.uint8)
    for number, mask in enumerate(masks, start=1):
        numbers[mask] = number
    _write(photo, "coin", "coins", image, numbers)
    _write_prompt(photo, "coin", coin_prompt(image, one_coin(masks)))
    return [generated, photo]


def _write(root: Path, concept: str, name: str, image: Image, numbers: Image) -> None:
    write_file(root / "images" / concept / f"{name}.png", encode_png(image))
    write_file(root / "masks" / concept / f"{name}.png", encode_png(numbers))


def _write_prompt(root: Path, concept: str, prompt: Prompt) -> None:
    for name, pixels in _prompt_files(prompt):
        write_file(root / "prompts" / concept / name, encode_png(pixels))


def _prompt_files(prompt: Prompt) -> Iterator[tuple[str, Image]]:
    yield "1.png", np.asarray(prompt.image)
    yield "1.mask.png", np.asarray(prompt.mask).astype(np.uint8) * 255
