"""Episodes as data: a query image, a class, and the supports that define the class.

An episode only refers to files, so that a list can be made once, hashed, stored in Parquet and run
in any order on any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Example:
    """An image and the mask of one class in it.

    Attributes:
        key: unique name of the image within its benchmark: its path below the data root, followed
            by `#x0,y0,x1,y1` if only a crop is used.
        uri: address of the image; `ipseg.storage.addresses.fetch` reads it.
        ground_truth: address of the mask; `read_ground_truth` in `ipseg.benchmarks.ground_truth`
            reads it. The mask has the size of the whole image even if `crop` is set. "" if there
            is no mask.
        crop: x0, y0, x1, y1 in pixels, x1 and y1 exclusive; None for the whole image.
    """

    key: str
    uri: str
    ground_truth: str
    crop: Box | None = None


@dataclass(frozen=True)
class Episode:
    """One task: find the class of the supports in the query.

    Attributes:
        episode: number within its list, from 0, in the order of the reference implementation.
        fold: name of the fold or split; "" if there is none.
        class_id: the benchmark's number for the class.
        class_name: the benchmark's name for the class.
        query: the image to segment.
        supports: at least one example; in the order of the reference, including repeats.
        seed: of the list; None if nothing is drawn at random.
    """

    episode: int
    fold: str
    class_id: int
    class_name: str
    query: Example
    supports: tuple[Example, ...]
    seed: int | None = None

    @property
    def shot(self) -> int:
        """Number of supports."""
        return len(self.supports)


EXAMPLE = pa.struct(
    [
        ("key", pa.string()),
        ("uri", pa.string()),
        ("ground_truth", pa.string()),
        ("crop", pa.list_(pa.int32())),
    ]
)
EPISODES = pa.schema(
    [
        ("episode", pa.int64()),
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("shot", pa.int32()),
        ("seed", pa.int64()),
        ("query", EXAMPLE),
        ("supports", pa.list_(EXAMPLE)),
    ]
)


def to_table(episodes: Sequence[Episode]) -> pa.Table:
    """Episodes as an Arrow table of schema `EPISODES`, in the same order."""
    return pa.Table.from_pylist([{**asdict(e), "shot": e.shot} for e in episodes], EPISODES)


def from_table(table: pa.Table) -> list[Episode]:
    """The inverse of `to_table`."""
    return [
        Episode(
            **{
                **record,
                "query": _example(record["query"]),
                "supports": tuple(map(_example, record["supports"])),
            }
        )
        for record in table.drop_columns("shot").to_pylist()
    ]


def _example(record: dict[str, Any]) -> Example:
    crop = record["crop"]
    return Example(**{**record, "crop": None if crop is None else tuple(crop)})
