"""Episodes as data: which picture is asked for what, shown which examples.

An episode is plain data that refers to files, so that a list can be made once, hashed, stored in
Parquet and run in any order on any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Example:
    """A picture and the mask of one class in it.

    Attributes:
        key: unique name of the picture within its benchmark: its path below the data root, with
            `#x0,y0,x1,y1` behind it where only a part is used.
        uri: where the picture is; `ipseg.storage.addresses.fetch` reads it.
        truth: where the mask is; `ipseg.benchmarks.truth.read_truth` reads it. It has the size of
            the whole picture, also where `crop` is set.
        crop: x0, y0, x1, y1 in pixels, x1 and y1 not included; None for the whole picture.
    """

    key: str
    uri: str
    truth: str
    crop: Box | None = None


@dataclass(frozen=True)
class Episode:
    """One question: find the class of the supports in the query.

    Attributes:
        episode: number within its list, from 0, in the order of the reference implementation.
        fold: name of the fold or split; "" where there is none.
        class_id: as the benchmark numbers its classes.
        class_name: as the benchmark names them.
        query: the picture that is asked about.
        supports: the examples that are shown, at least one; the reference order, repeats included.
        seed: of the list, None where nothing is drawn.
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
        ("truth", pa.string()),
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
    records = [
        {
            **{
                name: getattr(e, name)
                for name in ("episode", "fold", "class_id", "class_name", "shot", "seed")
            },
            "query": _record(e.query),
            "supports": [_record(support) for support in e.supports],
        }
        for e in episodes
    ]
    return pa.Table.from_pylist(records, EPISODES)


def from_table(table: pa.Table) -> list[Episode]:
    """The inverse of `to_table`."""
    return [
        Episode(
            record["episode"],
            record["fold"],
            record["class_id"],
            record["class_name"],
            _example(record["query"]),
            tuple(_example(support) for support in record["supports"]),
            record["seed"],
        )
        for record in table.to_pylist()
    ]


def _record(example: Example) -> dict[str, Any]:
    return {
        "key": example.key,
        "uri": example.uri,
        "truth": example.truth,
        "crop": None if example.crop is None else list(example.crop),
    }


def _example(record: dict[str, Any]) -> Example:
    crop = record["crop"]
    return Example(
        record["key"], record["uri"], record["truth"], None if crop is None else tuple(crop)
    )
