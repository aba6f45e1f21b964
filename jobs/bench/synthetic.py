"""Steps of known cost in place of models; their rows have the usual shape and size.

What comes out depends on the key alone, so runs can be compared row by row.
"""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ipseg.objects import Object
from ipseg.rows import Map, Row, Step

CostKind = Literal["sleep", "spin"]
_GRID = (15, 20)  # cells of a similarity map
_SIDE = 64  # pixels of the images that are not there
_HALF_SIDE = 8  # pixels of the square around a point that is the object


@contextmanager
def at_least(seconds: float, kind: CostKind) -> Iterator[None]:
    """Makes the body take so long, waiting as for a GPU ("sleep") or keeping a core busy ("spin").

    What the body does counts; a body that takes longer by itself is not cut short.
    """
    end = time.perf_counter() + seconds
    yield
    while (left := end - time.perf_counter()) > 0:
        if kind == "sleep":
            time.sleep(left)


@dataclass
class _Synthetic(Step):
    """A step of known cost.

    Attributes:
        seconds: for one row, the making of what comes out included.
        kind: how the time is spent.
    """

    seconds: float = 0.0
    kind: CostKind = "sleep"

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds what `_made` makes of each row."""
        with at_least(self.seconds * len(rows), self.kind):
            return [{**row, **self._made(row)} for row in rows]

    @abstractmethod
    def _made(self, row: Row) -> Row: ...


class SyntheticMatch(_Synthetic):
    """Stands in for the features: a similarity map made of the key."""

    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("key",)
    provides: ClassVar[tuple[str, ...]] = ("similarity", "width", "height")
    loads_model: ClassVar[bool] = True

    def _made(self, row: Row) -> Row:
        return {"similarity": _map(row["key"]), "width": _SIDE, "height": _SIDE}


class SyntheticPoints(_Synthetic):
    """Stands in for the selection of points: the most similar cell."""

    name: ClassVar[str] = "points"
    requires: ClassVar[tuple[str, ...]] = ("similarity",)
    provides: ClassVar[tuple[str, ...]] = ("points",)

    def _made(self, row: Row) -> Row:
        return {"points": [_point(row["similarity"][0])]}


class SyntheticSegment(_Synthetic):
    """Stands in for the segmenter: one object around the point."""

    name: ClassVar[str] = "segment"
    requires: ClassVar[tuple[str, ...]] = ("points", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("objects",)
    loads_model: ClassVar[bool] = True

    def _made(self, row: Row) -> Row:
        return {"objects": [_object(row["points"][0])]}


def synthetic_steps(
    match: float = 0.0, points: float = 0.0, segment: float = 0.0, kind: CostKind = "sleep"
) -> list[Step]:
    """The three steps, with the seconds that each takes for a row."""
    return [
        SyntheticMatch(match, kind),
        SyntheticPoints(points, kind),
        SyntheticSegment(segment, kind),
    ]


def _map(key: str) -> npt.NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return np.random.default_rng(seed).random((1, *_GRID), dtype=np.float32)


def _point(similarity: Map) -> npt.NDArray[np.float32]:
    """(1, 3): the middle of the best cell of a (gh, gw) map, x and y in pixels, and label 1."""
    row, column = np.unravel_index(int(similarity.argmax()), similarity.shape)
    height, width = _SIDE / similarity.shape[0], _SIDE / similarity.shape[1]
    return np.array([[(column + 0.5) * width, (row + 0.5) * height, 1]], np.float32)


def _object(points: npt.NDArray[np.float32]) -> Object:
    x, y = (int(value) for value in points[0, :2])
    mask = np.zeros((_SIDE, _SIDE), bool)
    top, left = max(0, y - _HALF_SIDE), max(0, x - _HALF_SIDE)
    mask[top : y + _HALF_SIDE, left : x + _HALF_SIDE] = True
    return Object.of("thing", 1, mask, 1.0, points=points)
