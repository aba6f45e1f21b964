"""A counter without learned weights: where an exemplar repeats, at several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.counters import Boxes, Density
from ipseg.networks.shared import LastBatch, WithoutNetwork
from ipseg.rows import Image, Map
from ipseg.vision.geometry import resize_map

_SCALES = np.geomspace(0.6, 1.5, 9)  # sizes of objects, times that of an exemplar
_MARGIN = 0.1  # around an exemplar, of its sides: its outline is in the template
_LEAST_SIDE = 5  # pixels of a template; smaller ones fit everywhere
_SPREAD = 0.13  # deviation of a bump, of the shorter side of the smallest object
_LEAST_SPREAD = 1.2  # pixels; of narrower bumps, erosion leaves one pixel, which has no contour
_APART = 0.6  # objects are at least so far from each other, of the mean of their sides
_COLOUR = 0.5  # share of colours in the correlation; the rest is of gradients
_BLANK = 1e-3  # range of values
_FLAT = 0.4  # of a template's deviation, below which a window is taken for flat
_SMOOTH = 1.0  # pixels, before gradients are taken


@dataclass(frozen=True)
class Encoded:
    """One image.

    Attributes:
        strength: (h, w) length of the gradient of the work image, as a share of the typical one.
        colour: (h, w, 3) its colours, Lab.
        shape: height, width of the image.
    """

    strength: Map
    colour: npt.NDArray[np.float32]
    shape: tuple[int, int]


@dataclass
class Correlation(WithoutNetwork):
    """Normalised correlation of gradients and of colours, the best over exemplars and sizes.

    Attributes:
        long_side: of the image in which it counts, pixels; smaller images keep their size.
        threshold: correlation from which there is an object; the exemplar itself has 1.
    """

    long_side: Annotated[int, Field(ge=64)] = 512
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.42

    level: ClassVar[int] = 30
    exemplars: ClassVar[int] = 3

    def __post_init__(self) -> None:
        self._last = LastBatch()

    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Gradients of each (H, W, 3) uint8 image; the last batch is cached."""
        return self._last.get(images, lambda: [self._encode(image) for image in images])

    def _encode(self, image: Image) -> Encoded:
        height, width = image.shape[:2]
        scale = min(1.0, self.long_side / max(height, width))
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        found = np.zeros(shape, np.float32)
        blurred = [
            cv2.GaussianBlur(resize_map(channel, shape, "area"), (0, 0), _SMOOTH)
            for channel in np.moveaxis(lab, 2, 0)
        ]
        colour = np.asarray(np.dstack(blurred), np.float32)
        for small in np.moveaxis(colour, 2, 0):
            x, y = (cv2.Sobel(small, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
            found = np.maximum(found, np.asarray(np.hypot(x, y), np.float32))
        typical = float(np.percentile(found, 95)) or 1.0
        return Encoded(np.minimum(found / typical, 1.0), colour, (height, width))

    def count(self, encoded: Encoded, boxes: Boxes) -> Density:
        """See `Counter.count`; a bump for each object, and their number."""
        rows, columns = encoded.strength.shape
        factor = np.array([columns / encoded.shape[1], rows / encoded.shape[0]] * 2)
        ends = np.array([0, 0, 1, 1])  # the last column and row are in a box
        own = (np.asarray(boxes, np.float64)[: self.exemplars] + ends) * factor
        response = np.full((rows, columns), -1.0, np.float32)
        sides = np.ones((rows, columns, 2), np.float32)  # of the object that answers best
        for box in own:
            for scale in _SCALES:
                outline = _answer(encoded.strength, box, float(scale))
                colour = _answer(encoded.colour, box, float(scale))
                answer = (1 - _COLOUR) * outline + _COLOUR * colour
                better = answer > response
                response[better], sides[better] = answer[better], scale * (box[2:] - box[:2])
        places = _apart(response, np.sqrt(sides.prod(axis=2)), self.threshold)
        density = np.zeros((rows, columns), np.float32)
        if len(places):
            shortest = min(min(box[2] - box[0], box[3] - box[1]) for box in own)
            density[places[:, 1], places[:, 0]] = 1
            deviation = max(_LEAST_SPREAD, _SPREAD * float(_SCALES[0] * shortest))
            density = np.asarray(
                cv2.GaussianBlur(density, (0, 0), deviation, borderType=cv2.BORDER_REFLECT),
                np.float32,
            )
        halves = sides[places[:, 1], places[:, 0]] / 2
        middles = places + 0.5
        around = np.concatenate([middles - halves, middles + halves], axis=1) / factor - ends
        return Density(density, float(len(places)), float(len(places)), around)


def _answer(image: npt.NDArray[np.float32], box: npt.NDArray[np.float64], scale: float) -> Map:
    """Correlation with a template of one size at each place, -1 where it does not fit.

    The template is cut out with what is just around it, so that an outline counts.

    Args:
        image: (h, w) or (h, w, 3).
        box: x, y, x, y of an exemplar in it; the ends are not in the box.
        scale: size of the template, times that of the exemplar.
    """
    height, width = image.shape[:2]
    margin = _MARGIN * (box[2:] - box[:2])
    low = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + margin), [width, height]).astype(int)
    template = image[low[1] : high[1], low[0] : high[0]]
    rows, columns = (round(scale * side) for side in template.shape[:2])
    found = np.full((height, width), -1.0, np.float32)
    if min(rows, columns) < _LEAST_SIDE:
        return found
    small = cv2.resize(template, (columns, rows), interpolation=cv2.INTER_AREA)
    template = np.asarray(small, np.float32)
    if np.ptp(template, axis=(0, 1)).max() < _BLANK:  # blank: it would fit everywhere
        return found
    # Objects at the border of the image are there in part.
    around = (rows // 4, columns // 4)
    padded = cv2.copyMakeBorder(
        image, around[0], around[0], around[1], around[1], cv2.BORDER_REFLECT
    )
    if rows > padded.shape[0] or columns > padded.shape[1]:
        return found
    matched = cv2.matchTemplate(padded, template, cv2.TM_CCOEFF_NORMED)
    matched = np.asarray(matched) * _contrast(np.asarray(padded, np.float32), template)
    top, left = rows // 2 - around[0], columns // 2 - around[1]
    inner = matched[max(0, -top) :, max(0, -left) :][: height - top, : width - left]
    y, x = max(0, top), max(0, left)
    found[y : y + inner.shape[0], x : x + inner.shape[1]] = inner[: height - y, : width - x]
    return np.nan_to_num(found, nan=-1.0, posinf=-1.0, neginf=-1.0)


def _contrast(
    image: npt.NDArray[np.float32], template: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """1 where a window varies about as much as a template, less where it is flatter: (h', w').

    What is nearly flat correlates with anything.
    """
    rows, columns = template.shape[:2]
    mean, square = (
        np.asarray(
            cv2.boxFilter(
                each, cv2.CV_32F, (columns, rows), anchor=(0, 0), borderType=cv2.BORDER_REFLECT
            )
        )
        for each in (image, image * image)
    )
    variance = np.maximum(square - mean**2, 0)
    own = template.var(axis=(0, 1))
    if variance.ndim == 3:
        variance, own = variance.sum(axis=2), own.sum()
    windows = variance[: len(image) - rows + 1, : image.shape[1] - columns + 1]
    return np.asarray(np.clip(np.sqrt(windows / own) / _FLAT, 0, 1), np.float32)


def _apart(response: Map, size: Map, threshold: float) -> npt.NDArray[np.int64]:
    """(n, 2) x, y of the best answers, none of which is within the object of a better one."""
    local = response >= cv2.dilate(response, np.ones((3, 3), np.uint8))
    y, x = np.nonzero(local & (response > threshold))
    kept: list[int] = []
    for index in np.argsort(-response[y, x], kind="stable").tolist():
        near = np.hypot(x[kept] - x[index], y[kept] - y[index])
        sides = (size[y[kept], x[kept]] + size[y[index], x[index]]) / 2
        if not (near < _APART * sides).any():
            kept.append(index)
    return np.stack([x[kept], y[kept]], axis=1).astype(np.int64)
