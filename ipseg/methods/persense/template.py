"""Where the object of a prompt itself is, at whatever size: the first exemplar without weights.

Not in PerSense: its segmenter grows the first exemplar from a point. Without learned weights,
copies that touch grow together; the prompt's own pixels say where one of them ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from ipseg.rows import Arrays, Image, Mask, Row, Step
from ipseg.segmenters.refinement import Box, tight_box
from ipseg.vision.masks import read_soft_mask

PIXELS, OUTLINE = "template", "template_mask"  # names of prompt features
_KEPT_SIDE = 96  # pixels of a template that is kept
_LONG_SIDE = 384  # of the image in which it is looked for
_SMALLEST = 10.0  # pixels there of the longer side of an object
_STEP = 1.13  # from one size to the next
_LEAST_PIXELS = 24  # of an object
_CHANCE = 2.0  # over the square root of its pixels: what a small template correlates with anything
_SMOOTH = 0.7  # pixels
_BLANK = 0.1  # range of Lab values
_CONVINCING = 0.75  # value of a place from which no other position is tried
_CLOSELY = 4  # of them that are tried at full size

Colours = npt.NDArray[np.float32]  # (h, w, 3) Lab


@dataclass
class KeepTemplate(Step):
    """Keeps the pixels of each prompt's object."""

    name: ClassVar[str] = "template"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask", "prompt_features")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `template` (h, w, 3) and `template_mask` (h, w), uint8, to `prompt_features`."""
        return [
            {**row, "prompt_features": {**row["prompt_features"], **_template(row)}} for row in rows
        ]


def _template(row: Row) -> Arrays:
    mask = read_soft_mask(row["support_mask"]) > 0.5
    box = tight_box(mask)
    x0, y0, x1, y1 = (
        (0, 0, mask.shape[1] - 1, mask.shape[0] - 1) if box is None else box.astype(int)
    )
    part = slice(y0, y1 + 1), slice(x0, x1 + 1)
    pixels, outline = row["image"][part], mask[part].astype(np.uint8)
    scale = min(1.0, _KEPT_SIDE / max(outline.shape))
    size = (max(1, round(scale * outline.shape[1])), max(1, round(scale * outline.shape[0])))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    shape = cv2.resize(outline * 255, size, interpolation=cv2.INTER_AREA)
    return {PIXELS: np.asarray(small), OUTLINE: (np.asarray(shape) > 127).astype(np.uint8)}


@dataclass(frozen=True)
class Place:
    """Where an image is most like a template.

    Attributes:
        box: x, y, x, y in pixels of the image, first and last column and row.
        outline: (h, w) bool, of the template as it lies there: turned, mirrored.
        value: correlation of the two, less what a template so small has by chance.
    """

    box: Box
    outline: Mask
    value: float


def located(
    image: Image, template: Image, outline: Mask, *, least: float = 0.0, turns: int = 24
) -> Place | None:
    """The place where an image is most like a template, at any size, turned or mirrored.

    As it is it is looked for first, in any other position only where that is not convincing: at
    half the size, and then more closely in those that are best there.

    Args:
        image: (H, W, 3) uint8.
        template: (h, w, 3) uint8.
        outline: (h, w) bool, what of it counts.
        least: value of a place that is taken for one.
        turns: positions around the clock, and as many mirrored; 1 for as it is alone.

    Returns:
        None where nothing is like the template, it is blank, or the image is too small for it.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    shape = (max(1, round(scale * width)), max(1, round(scale * height)))
    work = _lab(np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.uint8))
    longest = float(max(shape))  # as far as it fits in
    steps = int(np.log(max(1.0, longest / _SMALLEST)) / np.log(_STEP))
    sides = np.append(_SMALLEST * _STEP ** np.arange(1 + steps), longest)
    upright = _lab(template), outline
    best = _look(work, upright, sides)
    if best.value < _CONVINCING and turns > 1:
        half = cv2.resize(work, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        angles = [360 * each / turns for each in range(turns)]
        poses = [turned(*upright, a, mirrored=m) for m in (False, True) for a in angles]
        rough = [_look(np.asarray(half, np.float32), pose, sides[::2] / 2) for pose in poses]
        for index in np.argsort([-each.value for each in rough], kind="stable")[:_CLOSELY].tolist():
            side = 2 * _longer(rough[index].box)
            near = sides[np.abs(np.log(sides / side)) < 2 * np.log(_STEP)]
            best = max(best, _look(work, poses[index], near), key=lambda each: each.value)
    if best.value <= 0 or best.value < least:
        return None
    far = np.array([0, 0, 1, 1])  # the last column and row are in the box
    corners = (best.box + far) * np.array([width / shape[0], height / shape[1]] * 2)
    return replace(best, box=np.asarray(corners - far))


def turned(
    pixels: Colours, outline: Mask, degrees: float, *, mirrored: bool
) -> tuple[Colours, Mask]:
    """A template turned counter-clockwise, mirrored before if asked for, cut to its outline.

    Args:
        pixels: (h, w, 3).
        outline: (h, w) bool.
        degrees: how far.
        mirrored: left is right.
    """
    if mirrored:
        pixels, outline = pixels[:, ::-1], outline[:, ::-1]
    height, width = outline.shape
    diagonal = int(np.ceil(np.hypot(height, width))) + 2
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += ((diagonal - width) / 2, (diagonal - height) / 2)
    size = (diagonal, diagonal)
    placed = cv2.warpAffine(np.ascontiguousarray(outline).astype(np.float32), matrix, size)
    around = cv2.warpAffine(
        np.ascontiguousarray(pixels), matrix, size, borderMode=cv2.BORDER_REPLICATE
    )
    mask = np.asarray(placed) > 0.5
    box = tight_box(mask)
    if box is None:  # of a pixel or two
        return pixels, outline
    x0, y0, x1, y1 = box.astype(int)
    part = slice(y0, y1 + 1), slice(x0, x1 + 1)
    return np.asarray(around, np.float32)[part], mask[part]


def _look(work: Colours, template: tuple[Colours, Mask], sides: npt.NDArray[np.float64]) -> Place:
    """The best place of a template, its longer side of one of these lengths; value 0 for none."""
    pixels, outline = template
    height, width = work.shape[:2]
    best = Place(np.zeros(4), outline, 0.0)
    for side in sides:
        columns, rows = (max(3, round(side / max(outline.shape) * n)) for n in outline.shape[::-1])
        mask = _mask(outline, (columns, rows))
        if mask.sum() < _LEAST_PIXELS or columns > width or rows > height:
            continue
        small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        value, (x, y) = _best(work, np.asarray(small, np.float32), mask)
        value -= _CHANCE / float(np.sqrt(mask.sum()))
        if value > best.value:
            box = np.array([x, y, x + columns - 1, y + rows - 1], np.float64)
            best = Place(box, outline, value)
    return best


def _longer(box: Box) -> float:
    return float((box[2:] - box[:2]).max()) + 1


def _lab(image: Image) -> Colours:
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), _SMOOTH), np.float32)


def _mask(outline: Mask, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    small = cv2.resize(outline.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return (np.asarray(small) > 0.5).astype(np.float32)


def _best(
    work: Colours, template: Colours, mask: npt.NDArray[np.float32]
) -> tuple[float, tuple[int, int]]:
    """Highest correlation of what a mask covers, and its place; 0 where nothing varies."""
    if np.ptp(template[mask > 0], axis=0).max() < _BLANK:
        return 0.0, (0, 0)
    answer = cv2.matchTemplate(
        work, template, cv2.TM_CCOEFF_NORMED, mask=np.dstack([mask] * template.shape[2])
    )
    answer = np.nan_to_num(np.asarray(answer), nan=0.0, posinf=0.0, neginf=0.0)
    answer[answer > 1.001] = 0.0  # of places that do not vary
    y, x = np.unravel_index(int(answer.argmax()), answer.shape)
    return float(answer[y, x]), (int(x), int(y))
