"""One piece of a source, read on its own; its name is that of the output shard.

Reading yields one row (key, shard, uri, maybe image_bytes) for each image. Whatever is wrong with
one file or row becomes a failed row, so that nothing is lost silently. A shard read twice yields
the same rows in the same order: Ray reads again what was lost with a machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.columns import from_table
from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.files import open_input
from pipeline.sources import parquet, tar
from pipeline.sources.parquet import Columns

Kind = Literal["listed", "parquet", "webdataset"]


class RepeatedKeyError(SourceError):
    """A key that a row before it in the same file has already; keys must be unique."""


@dataclass(frozen=True)
class Shard:
    """One piece of a source.

    Attributes:
        id: stable name, safe as a file name.
        kind: "listed" is a Parquet file of rows that `pipeline.sources.listing` wrote.
        address: of the listing or the container file.
        name: of the container within the source; keys begin with it. "" for a listing.
        rows: images in it, None if only reading would say.
        fingerprint: changes when rows may have been added.
        columns: for Parquet and tars.
    """

    id: str
    kind: Kind
    address: str
    name: str = ""
    rows: int | None = None
    fingerprint: str = ""
    columns: Columns = Columns()  # noqa: RUF009  (frozen)

    def read(self, ignored: Counter[str] | None = None) -> Iterator[Row]:
        """The shard's rows, keys unique. A container that breaks half way ends in a failed row.

        Args:
            ignored: takes up files in a container that are no images, by suffix.
        """
        if self.kind == "listed":
            yield from self._listed()
            return
        if self.kind == "parquet":
            rows = parquet.read_parquet(self)
        else:
            rows = tar.read_tar(self, Counter() if ignored is None else ignored)
        try:
            yield from self._unique(rows)
        except (*parquet.UNREADABLE, *tar.UNREADABLE) as error:
            yield failed({"key": self.name, "shard": self.id, "uri": self.address}, "read", error)

    def _listed(self) -> Iterator[Row]:
        with open_input(self.address) as handle:
            for batch in pq.ParquetFile(handle).iter_batches(1024):
                for row in from_table(pa.Table.from_batches([batch])):
                    yield {**row, "shard": self.id}

    def _unique(self, rows: Iterator[Row]) -> Iterator[Row]:
        seen: set[bytes] = set()
        for position, row in enumerate(map(with_valid_names, rows)):
            key = key_hash(row["key"])
            if key not in seen:
                seen.add(key)
                yield row
                continue
            error = RepeatedKeyError(
                f"row {position} of {self.address} repeats the key {row['key']!r}; keys must be "
                f"unique, name another column with --key-column"
            )
            another = f"{row['key']}#{position}"
            seen.add(key_hash(another))
            yield failed({**row, "key": another}, "read", error)


def key_hash(key: str) -> bytes:
    """16 bytes that identify a key in part files and joins."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[:16]


def with_valid_names(row: Row) -> Row:
    """The row; a failed one, with names that can be printed, where a name is not valid UTF-8."""
    names = {"key": row["key"], "uri": row["uri"]}
    try:
        "".join(names.values()).encode()
    except UnicodeEncodeError:
        printable = {k: n.encode("utf-8", "backslashreplace").decode() for k, n in names.items()}
        error = SourceError("the file name is not valid UTF-8; rename the file")
        return failed({**row, **printable}, "read", error)
    return row
