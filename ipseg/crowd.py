"""What is known of one concept in one image on the way from the example to its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ipseg.objects import RLE_TYPE
from ipseg.vision.masks import RLE

Points = npt.NDArray[np.int64]  # (n, 2) x, y in whole pixels

Boxes = npt.NDArray[np.float64]  # (n, 4) x, y, x, y in pixels, first and last column and row

# Why there is less than there could be; the first that ends the search is the last one noted.
Status = Literal[
    "no grounding box",
    "prompt not found",
    "empty first mask",
    "empty density",
    "no contour",
    "count <= 0",
    "no point kept",
    "empty final union",
]

CROWD = pa.struct(
    [
        ("variant", pa.string()),  # settings that found it; "" where there is one set of settings
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("named", pa.list_(pa.list_(pa.float64(), 4))),  # null: nothing was asked for boxes
        ("gate", pa.list_(pa.list_(pa.float64(), 4))),  # null: anywhere
        ("exemplars", pa.list_(pa.list_(pa.float64(), 4))),
        ("points", pa.list_(pa.list_(pa.int64(), 2))),
        ("around", pa.list_(pa.list_(pa.float64(), 4))),  # null: the counter gives no boxes
        ("shape", RLE_TYPE),
        ("density", pa.binary()),  # PNG; null unless it is wanted
        ("count", pa.float64()),
        ("total", pa.float64()),
        ("notes", pa.list_(pa.string())),
        ("ended", pa.bool_()),
    ]
)


@dataclass(frozen=True, eq=False)
class Crowd:
    """One concept in one image.

    Attributes:
        concept: its name in the bank.
        category_id: of the concept.
        named: (m, 4) boxes in which its name is found, the most certain first; None where nothing
            was asked for boxes.
        gate: (m, 4) boxes in one of which its instances lie; None for anywhere.
        exemplars: (n, 4) boxes that the counter goes by.
        points: (n, 2) where instances are.
        around: (n, 4) box around each of them, of a counter that finds objects one by one, or None.
        shape: outline that the exemplars share, on a grid over their boxes, or None.
        density: PNG, 8 bit: the last density, from its least value to its largest, or None.
        count: as the counter reports it.
        total: sum of the density.
        notes: statuses, in the order in which they were noted.
        ended: whether the search is over.
        variant: label of the settings that found it, "" where there is one set of settings.
    """

    concept: str
    category_id: int
    named: Boxes | None = None
    gate: Boxes | None = None
    exemplars: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    points: Points = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    around: Boxes | None = None
    shape: RLE | None = None
    density: bytes | None = None
    count: float = 0.0
    total: float = 0.0
    notes: tuple[str, ...] = ()
    ended: bool = False
    variant: str = ""

    def noted(self, status: Status) -> Crowd:
        """The same with a status, once."""
        return replace(self, notes=tuple(dict.fromkeys([*self.notes, status])))

    def over(self, status: Status) -> Crowd:
        """The same with the status that ends the search, and no points."""
        return replace(
            self.noted(status),
            ended=True,
            points=np.zeros((0, 2), np.int64),
            around=None,
            exemplars=_NO_BOXES,
        )

    def at(self, kept: npt.NDArray[np.bool_]) -> Crowd:
        """The same with some of its points: (n,)."""
        around = None if self.around is None else self.around[kept]
        return replace(self, points=self.points[kept], around=around)

    def record(self) -> dict[str, Any]:
        """As Arrow holds it, type `CROWD`."""
        arrays = {name: getattr(self, name) for name in (*_BOXES, "points")}
        lists = {name: None if a is None else a.tolist() for name, a in arrays.items()}
        return {**vars(self), **lists, "notes": list(self.notes)}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Crowd:
        """The inverse of `record`."""
        return Crowd(
            **{
                **record,
                **{name: _boxes(record.get(name)) for name in _BOXES},
                "points": np.array(record["points"], np.int64).reshape(-1, 2),
                "notes": tuple(record["notes"]),
            }
        )


def confirmed(count: float, outlined: int) -> float:
    """What a count adds to a sum over images: nothing where no instance was outlined.

    Args:
        count: as the counter reports it.
        outlined: instances.
    """
    return count if outlined else 0.0


_BOXES = ("named", "gate", "exemplars", "around")
_NO_BOXES = np.zeros((0, 4))


def _boxes(values: list[list[float]] | None) -> Boxes | None:
    return None if values is None else np.array(values, np.float64).reshape(-1, 4)
