"""Where the object of a prompt itself is, at whatever size: the first exemplar without weights.

Not in PerSense: its segmenter grows the first exemplar from a point. Without learned weights,
copies that touch grow together; the prompt's own pixels say where one of them ends.
"""

from __future__ import annotations

from dataclasses import dataclass
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
_LARGEST = 0.6  # of the image's shorter side
_STEP = 1.13  # from one size to the next
_LEAST_PIXELS = 24  # of an object
_CHANCE = 2.0  # over the square root of its pixels: what a small template correlates with anything
_SMOOTH = 0.7  # pixels
_BLANK = 0.1  # range of Lab values

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


def located(image: Image, template: Image, outline: Mask) -> Box | None:
    """The box of the place where an image is most like a template, at any size.

    Args:
        image: (H, W, 3) uint8.
        template: (h, w, 3) uint8.
        outline: (h, w) bool, what of it counts.

    Returns:
        x, y, x, y in pixels of the image, first and last column and row; None where the template is
        blank, or the image too small for it.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    shape = (max(1, round(scale * width)), max(1, round(scale * height)))
    work = _lab(np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.uint8))
    pixels, long = _lab(template), max(outline.shape)
    best, found = 0.0, None
    side = _SMALLEST
    while side <= _LARGEST * min(shape):
        columns, rows = (max(3, round(side / long * n)) for n in outline.shape[::-1])
        mask = _mask(outline, (columns, rows))
        if mask.sum() >= _LEAST_PIXELS and columns < shape[0] and rows < shape[1]:
            small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
            value, (x, y) = _best(work, np.asarray(small, np.float32), mask)
            value -= _CHANCE / float(np.sqrt(mask.sum()))
            if value > best:
                best, found = value, np.array([x, y, x + columns - 1, y + rows - 1], np.float64)
        side *= _STEP
    if found is None:
        return None
    far = np.array([0, 0, 1, 1])  # the last column and row are in the box
    corners = (found + far) * np.array([width / shape[0], height / shape[1]] * 2)
    return np.asarray(corners - far)


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
