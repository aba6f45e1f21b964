"""Small parts of one's own: what they find can be read off an image of discs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ipseg.bank import Bank
from ipseg.counters import Density
from ipseg.detectors import Detections
from ipseg.features.similarity import Similarity
from ipseg.networks.shared import WithoutNetwork
from ipseg.segmenters.prompt import Decoded


@dataclass
class Brightness(WithoutNetwork):
    """Similar is what is as bright as the example."""

    weight: float = 1.0

    def prompt_features(self, image, mask):
        return {"level": np.array([image[mask > 0.5].mean()], np.float32)}

    def merge(self, views):
        return views[0]

    def compare(self, images, bank, grids):
        found = []
        for image, (rows, columns) in zip(images, grids, strict=True):
            grey = cv2.resize(image.mean(axis=2).astype(np.float32), (columns, rows))
            maps = [1 - np.abs(grey - entry["level"]) / 255 for entry in bank]
            found.append(Similarity(np.stack(maps), np.ones(len(bank), np.float32)))
        return found


@dataclass
class Fill(WithoutNetwork):
    """Fills what is bright around a point.

    Attributes:
        refined: whether anything is found the second time a point is asked for.
        plain: whether anything is found by a point alone.
    """

    refined: bool = True
    plain: bool = True
    asked: list[int] = field(default_factory=list, init=False)

    takes_boxes = True
    takes_similarity = False

    def encode(self, images):
        return list(images)

    def decode(
        self, embedding, point_coords, point_labels, *, boxes=None, mask_input=None, multimask=True
    ):
        _, parts = cv2.connectedComponents((embedding.mean(axis=2) > 100).astype(np.uint8))
        x, y = point_coords[0].astype(int)
        mask = (parts == parts[y, x]) & (parts > 0)
        if not (self.plain if mask_input is None else self.refined):
            mask = np.zeros_like(mask)
        self.asked.append(int(mask.sum()))
        whole = np.stack([mask, np.zeros_like(mask)])
        return Decoded(whole, np.array([0.9, 0.1], np.float32), np.zeros((2, 4, 4), np.float32))


@dataclass
class Bright(WithoutNetwork):
    """Counts what is bright.

    Attributes:
        count_as: what it says there are; None says it right.
        flat: finds the same everywhere.
        lines: finds thin lines alone.
    """

    count_as: float | None = None
    flat: bool = False
    lines: bool = False
    boxes: list[np.ndarray] = field(default_factory=list, init=False)

    level = 30
    exemplars = 3

    def encode(self, images):
        return list(images)

    def count(self, encoded, boxes):
        self.boxes.append(boxes)
        bright = (encoded.mean(axis=2) > 100).astype(np.uint8)
        number, _ = cv2.connectedComponents(bright)
        depth = cv2.distanceTransform(bright, cv2.DIST_L2, 3).astype(np.float32)
        if self.lines:
            depth[:] = 0
            depth[::9] = 1
        total = number - 1.0 if self.count_as is None else self.count_as
        return Density(0 * depth if self.flat else depth, total, total)


@dataclass
class Named(WithoutNetwork):
    """Finds names where it is said to: caption -> boxes, the last one the most certain."""

    boxes: dict[str, list[list[float]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list, init=False)

    def encode(self, images):
        return list(images)

    def detect(self, encoded, caption):
        self.asked.append(caption)
        found = np.array(self.boxes.get(caption, ()), np.float32).reshape(-1, 4)
        return Detections(found, np.linspace(0.2, 0.9, len(found), dtype=np.float32))


@dataclass
class Given(Bank):
    """Concepts with features that are given."""

    entries: dict[str, Any]

    @property
    def identity(self):
        return tuple(self.entries)

    @property
    def categories(self):
        return {name: number for number, name in enumerate(self.entries, start=1)}

    def features(self, concept):
        return self.entries[concept]

    def failure(self, concept):
        return None


PLACES = [(40 + 50 * i, 30 + 50 * j) for j in range(3) for i in range(4)]


def discs(places=PLACES, radius=14, level=220):
    """(180, 240, 3) uint8: bright discs on a dark ground."""
    image = np.full((180, 240, 3), 20, np.uint8)
    for place in places:
        cv2.circle(image, place, radius, (level, level, level), -1)
    return image
