"""Compare the masks found with the user's ground truth, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from ipseg.errors import SourceError
from ipseg.metrics import Counts
from ipseg.rows import Mask, Row, Step
from ipseg.storage.files import read_bytes
from ipseg.vision.masks import decode_rle, read_mask


@dataclass
class CompareWithMasks(Step):
    """Reads `ROOT/<concept>/<key>.png`, or `ROOT/<key>.png` where there is only one concept.

    The suffix of the key gives way to .png. With folders for concepts, a missing mask says that the
    concept is absent from the image; without, that the image has no ground truth.

    Attributes:
        root: folder or fsspec URL of the ground truth; any non-zero pixel is object.
        concepts: names, in the bank's order.
        by_concept: whether ROOT has a folder for each concept.
    """

    root: str
    concepts: tuple[str, ...]
    by_concept: bool

    name: ClassVar[str] = "compare"
    requires: ClassVar[tuple[str, ...]] = ("key", "width", "height", "objects")
    provides: ClassVar[tuple[str, ...]] = ("metrics",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `metrics`; an empty list for an image without ground truth."""
        return [{**row, "metrics": self._metrics(row)} for row in rows]

    def _metrics(self, row: Row) -> list[dict[str, Any]]:
        shape = (row["height"], row["width"])
        metrics = []
        for concept in self.concepts:
            truth = self._truth(row["key"], concept, shape)
            if truth is None:
                continue
            found = np.zeros(shape, bool)
            for item in row["objects"]:
                if item["concept"] == concept:
                    found |= decode_rle(item["segmentation"])
            counts, present = Counts.of(found, truth), bool(truth.any())
            metrics.append(
                {
                    "concept": concept,
                    "present": present,
                    "intersection": counts.intersection,
                    "union": counts.union,
                    "iou": counts.iou if present else None,
                }
            )
        return metrics

    def _truth(self, key: str, concept: str, shape: tuple[int, int]) -> Mask | None:
        path = mask_path(self.root, key, concept if self.by_concept else None)
        try:
            data = read_bytes(path)
        except FileNotFoundError:
            return np.zeros(shape, bool) if self.by_concept else None
        truth = read_mask(data)
        if truth.shape != shape:
            raise SourceError(
                f"{path} is {truth.shape[1]}x{truth.shape[0]} pixels, "
                f"its picture {shape[1]}x{shape[0]}"
            )
        return truth


def mask_path(root: str, key: str, concept: str | None) -> str:
    """Where the mask of a key is; a key or concept that would leave the root is refused.

    A key that begins with the concept's folder, as in `images/cow/1.jpg`, does not repeat it.

    Raises:
        SourceError: the key or concept is absolute or has a '..' part.
    """
    parts = PurePosixPath(key).parts
    if concept is not None and parts[:1] != (concept,):
        parts = (concept, *parts)
    if "/" in parts or ".." in parts or any("\\" in part or "\0" in part for part in parts):
        raise SourceError(f"key {key!r} cannot be used as a file name below {root}")
    return f"{root.rstrip('/')}/{PurePosixPath(*parts).with_suffix('.png')}"
