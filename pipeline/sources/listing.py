"""Rows that are known before the run, cut into shards by the hash of their key.

The driver never holds more than a chunk of them: chunks are sorted by hash and spooled to a local
disk, then each shard gathers its slice of every chunk and becomes one Parquet file in the run
folder, where the worker that reads the shard finds it.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipseg.columns import ERROR_COLUMNS, from_table, to_table
from ipseg.rows import Row, failed
from ipseg.storage.files import open_input
from ipseg.storage.tables import write_table
from pipeline.sources.shard import RepeatedKeyError, Shard, key_hash

ROWS_PER_SHARD = 4096
MOST_SHARDS = 4096  # more would only make more files
_CHUNK = 65_536
_ORDER = [("key", "ascending"), ("uri", "ascending")]
_DETAILS = ("crop", "frame_uris")  # what rows of the output do not have
_HASH = "hash"  # first 64 bits of the key's hash; a shard is a range of them


class Spool:
    """Collects rows of any number on a local disk, then writes them out as shards.

    Attributes:
        rows: collected so far.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = tuple(dict.fromkeys([*columns, *ERROR_COLUMNS]))
        self._chunks: list[Path] = []
        self.rows = 0

    def __enter__(self) -> Spool:
        """Makes room on the local disk."""
        self._scratch = tempfile.TemporaryDirectory(prefix="ipseg-listing-")
        return self

    def __exit__(self, *exception: object) -> None:
        """Frees the local disk."""
        self._scratch.cleanup()

    def add(self, rows: Iterable[Row]) -> None:
        """Collects rows; a key that is there already becomes a failed row."""
        stream = iter(rows)
        while chunk := list(islice(stream, _CHUNK)):
            hashes = np.array(
                [int.from_bytes(key_hash(row["key"])[:8]) for row in chunk], dtype=np.uint64
            )
            order = np.argsort(hashes, kind="stable")
            table = to_table([chunk[i] for i in order], self._columns)
            table = table.append_column(_HASH, pa.array(hashes[order]))
            path = Path(self._scratch.name) / f"{len(self._chunks)}.arrow"
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            self._chunks.append(path)
            self.rows += len(chunk)

    def write(self, out: str, shards: int | None = None) -> tuple[Shard, ...]:
        """Writes OUT/listing/<shard>.parquet for each shard that has rows.

        Args:
            out: run folder.
            shards: number of hash ranges, a power of two; None chooses by the number of rows. A
                run that goes on keeps its number, so that every key stays in its shard.
        """
        count = shards or min(
            MOST_SHARDS, 2 ** max(0, math.ceil(math.log2(max(1, self.rows) / ROWS_PER_SHARD)))
        )
        return tuple(self._shards(out.rstrip("/"), count))

    def _shards(self, out: str, count: int) -> Iterator[Shard]:
        for index in range(count):
            low, high = (bound * 2**64 // count for bound in (index, index + 1))
            pieces = [self._slice(chunk, low, high) for chunk in self._chunks]
            table = pa.concat_tables(pieces) if pieces else None
            if table is None or not table.num_rows:
                continue
            table = _without_repeats(table.drop_columns([_HASH]).sort_by(_ORDER))
            name = f"{index:05d}-of-{count:05d}"
            address = _address(out, name)
            write_table(address, table)
            names = [name for name in ("key", "version") if name in table.column_names]
            lines = map(str, zip(*(table[name].to_pylist() for name in names), strict=True))
            fingerprint = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
            yield Shard(name, "listed", address, rows=table.num_rows, fingerprint=fingerprint)

    @staticmethod
    def _slice(chunk: Path, low: int, high: int) -> pa.Table:
        with pa.memory_map(str(chunk)) as source:
            table = pa.ipc.open_file(source).read_all()  # mapped, not copied
        hashes = table[_HASH].to_numpy()
        first = int(np.searchsorted(hashes, np.uint64(low)))
        last = len(hashes) if high >= 2**64 else int(np.searchsorted(hashes, np.uint64(high)))
        return table.slice(first, last - first)


def _without_repeats(table: pa.Table) -> pa.Table:
    """The table, in order of keys, with failed rows for keys that a list of images repeats."""
    keys = table["key"]
    if not pc.any(pc.equal(keys[1:], keys[:-1])).as_py():
        return table
    rows, before, count = from_table(table), None, 0
    for position, row in enumerate(rows):
        count = count + 1 if row["key"] == before else 0
        before = row["key"]
        if count:
            error = RepeatedKeyError(
                f"the key {before!r} is there more than once; keys must be unique, name another "
                f"column with --key-column"
            )
            rows[position] = failed({**row, "key": f"{before}#{count}"}, "read", error)
    return to_table(rows, table.column_names)


def read_listed(out: str, shard: str, key: str) -> Row | None:
    """A row as it was listed: its address, and its frames or crop where it has some.

    Args:
        out: run folder.
        shard: id of the row's shard.
        key: of the row.

    Returns:
        None where the run has no such listing, as for rows of container files.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open_input(_address(out, shard)) as handle:
            table = pq.read_table(handle, filters=[("key", "=", key)])
    except FileNotFoundError:
        return None
    return next(iter(from_table(table)), None)


def read_details(out: str, shard: str) -> dict[str, Row]:
    """Key -> `crop` and `frame_uris` of the rows of a shard, as they were listed.

    Args:
        out: run folder.
        shard: id.

    Returns:
        Nothing where no row of the shard has either, as for rows of container files.

    Raises:
        OSError: the listing cannot be read.
    """
    try:
        with open_input(_address(out, shard)) as handle:
            file = pq.ParquetFile(handle)
            wanted = [name for name in _DETAILS if name in file.schema_arrow.names]
            if not wanted:
                return {}
            rows = from_table(file.read(["key", *wanted]))
    except FileNotFoundError:
        return {}
    return {row["key"]: row for row in rows}


def _address(out: str, shard: str) -> str:
    return f"{out.rstrip('/')}/listing/{shard}.parquet"
