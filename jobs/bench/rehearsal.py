"""The pipeline without its models: steps of known cost that make rows of the usual shape and size.

What comes out depends on the key alone, so runs can be compared row by row.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ipseg.objects import Object
from ipseg.rows import Row, Step

Toil = Literal["sleep", "spin"]
_GRID = (15, 20)  # cells of a similarity map
_SIDE = 64  # pixels of the pictures that are not there


@contextmanager
def toil(seconds: float, kind: Toil) -> Iterator[None]:
    """Makes the body take so long, waiting as for a GPU ("sleep") or keeping a core busy ("spin").

    What the body does counts; a body that takes longer by itself is not cut short.
    """
    end = time.perf_counter() + seconds
    yield
    while (left := end - time.perf_counter()) > 0:
        if kind == "sleep":
            time.sleep(left)


@dataclass
class RehearseMatch(Step):
    """Stands in for the features.

    Attributes:
        seconds: for one row, the making of what comes out included.
        kind: how the time is spent.
    """

    seconds: float = 0.0
    kind: Toil = "sleep"

    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("key",)
    provides: ClassVar[tuple[str, ...]] = ("similarity", "width", "height")
    loads_model: ClassVar[bool] = True

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds a similarity map made of the key."""
        size = {"width": _SIDE, "height": _SIDE}
        with toil(self.seconds * len(rows), self.kind):
            return [{**row, "similarity": _map(row["key"]), **size} for row in rows]


@dataclass
class RehearsePoints(Step):
    """Stands in for the selection of points."""

    seconds: float = 0.0
    kind: Toil = "sleep"

    name: ClassVar[str] = "points"
    requires: ClassVar[tuple[str, ...]] = ("similarity",)
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the most similar cell."""
        with toil(self.seconds * len(rows), self.kind):
            return [{**row, "points": [_point(row["similarity"][0])]} for row in rows]


@dataclass
class RehearseSegment(Step):
    """Stands in for the segmenter."""

    seconds: float = 0.0
    kind: Toil = "sleep"

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("points", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    loads_model: ClassVar[bool] = True

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds one object around the point."""
        with toil(self.seconds * len(rows), self.kind):
            return [{**row, "objects": [_object(row["points"][0])]} for row in rows]


def rehearsal_steps(
    match: float = 0.0, points: float = 0.0, segment: float = 0.0, kind: Toil = "sleep"
) -> list[Step]:
    """The three steps, with the seconds that each takes for a row."""
    return [
        RehearseMatch(match, kind),
        RehearsePoints(points, kind),
        RehearseSegment(segment, kind),
    ]


def _map(key: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return np.random.default_rng(seed).random((1, *_GRID), dtype=np.float32)


def _point(similarity: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, Any]:
    row, column = np.unravel_index(int(similarity.argmax()), similarity.shape)
    cell = _SIDE / similarity.shape[1], _SIDE / similarity.shape[0]
    return np.array([[(column + 0.5) * cell[0], (row + 0.5) * cell[1], 1]], np.float32)


def _object(points: np.ndarray[Any, Any]) -> Object:
    x, y = int(points[0, 0]), int(points[0, 1])
    mask = np.zeros((_SIDE, _SIDE), bool)
    mask[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = True
    return Object.of("thing", 1, mask, 1.0, points=points)
