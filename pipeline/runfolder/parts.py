"""Part files: finished rows of one shard, in a file named after the keys it holds.

    OUT/data/shard=<id>/part-<sha256 of its sorted keys, 16 hex>.parquet

Nothing but rows lies below OUT/data, so that any reader of Parquet takes the folder as it is.

The same rows give the same name, so a repeated write replaces itself. A part appears whole or not
at all. The same key can still be in two parts, when a run was killed between two writes;
`pipeline.runfolder.ledger` repairs that when the shard is opened next, and readers take such a key
once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import OutputError
from ipseg.storage.files import open_input
from ipseg.storage.tables import write_table
from ipseg.storage.walk import list_files

SCHEMA_VERSION = "4"  # of the run format
PARTS = "data/shard=*/part-*.parquet"  # below OUT
Damage = (OSError, ValueError, pa.ArrowException)  # what reading a damaged file raises

_ROWS_AT_ONCE = 1024


class DamagedPartError(OutputError, ValueError):
    """A part whose bytes can be read, but are not those of a part."""


@dataclass(frozen=True)
class Place:
    """Where a row is stored.

    Attributes:
        key: of the row.
        part: address of the part.
        index: of the row in that part.
    """

    key: str
    part: str
    index: int

    @property
    def shard(self) -> str:
        """Id of the shard that the part is of."""
        return self.part.rpartition("/")[0].rpartition("/shard=")[2]


def shard_folder(out: str, shard: str) -> str:
    """Where the parts of a shard are."""
    return f"{out}/data/shard={shard}"


def part_name(keys: Sequence[str]) -> str:
    """File name of a part with these keys, in whatever order."""
    joined = "\n".join(sorted(keys))
    return f"part-{hashlib.sha256(joined.encode('utf-8', 'replace')).hexdigest()[:16]}.parquet"


def write_part(out: str, shard: str, table: pa.Table, group_rows: int | None = None) -> str:
    """Writes finished rows, sorted by key, as one part.

    Args:
        out: run folder.
        shard: id.
        table: the rows.
        group_rows: rows that can be read by themselves; None leaves it to Parquet.

    Returns:
        Its file name.
    """
    table = table.sort_by("key")
    name = part_name(table["key"].to_pylist())
    address = f"{shard_folder(out, shard)}/{name}"
    write_table(address, table, write_page_index=True, row_group_size=group_rows)
    return name


def shard_parts(out: str, shard: str) -> list[str]:
    """Addresses of the parts of one shard, sorted; none if nothing was written yet."""
    return list_files(shard_folder(out, shard), "part-*.parquet")


def part_files(out: str) -> list[str]:
    """Addresses of all parts of a run, sorted: shard after shard.

    Raises:
        OutputError: there is no run at this place.
    """
    parts = list_files(out.rstrip("/"), PARTS)
    if not parts:
        raise OutputError(f"{out} holds no finished parts ({PARTS})")
    return parts


def read_batches(
    part: str,
    columns: Sequence[str] | None = None,
    *,
    optional: Sequence[str] = (),
    without: tuple[str, ...] = (),
) -> Iterator[pa.RecordBatch]:
    """A part, batch after batch. Everything that reads parts reads them here.

    Args:
        part: its address.
        columns: to read, None for all.
        optional: columns to read as well where the part has them (prompts have no metrics).
        without: paths within nested columns that are left out, such as "objects.list.element.mask".

    Raises:
        OSError: it cannot be read.
        DamagedPartError: it is no Parquet file, or lacks a column; names it.
        OutputError: it was written in another version of the run format.
    """
    with _opened(part, columns) as file:
        wanted = None if columns is None else list(columns)
        if wanted is not None:
            wanted += [name for name in optional if name in file.schema_arrow.names]
        if without:
            paths = [file.schema.column(index).path for index in range(len(file.schema))]
            wanted = [
                path
                for path in paths
                if (wanted is None or path.split(".")[0] in wanted) and not path.startswith(without)
            ]
        yield from file.iter_batches(_ROWS_AT_ONCE, columns=wanted)


def count_rows(part: str) -> int:
    """Number of rows of a part, by its footer. Errors as of `read_batches`."""
    with _opened(part, None) as file:
        return int(file.metadata.num_rows)


def column_names(part: str) -> list[str]:
    """Names of the columns of a part. Errors as of `read_batches`."""
    with _opened(part, None) as file:
        return list(file.schema_arrow.names)


@contextmanager
def _opened(part: str, columns: Sequence[str] | None) -> Iterator[pq.ParquetFile]:
    """A part that has these columns, and whose faults bear its name."""
    with open_input(part) as handle:
        try:
            file = pq.ParquetFile(handle, page_checksum_verification=True)
            _check_version(part, file.schema_arrow.metadata or {})
            for name in columns or ():
                if name not in file.schema_arrow.names:
                    raise ValueError(f"it has no column '{name}'")
            yield file
        except Damage as error:
            # Those of storage have a number, or a class of their own.
            if isinstance(error, OSError) and (type(error) is not OSError or error.errno):
                raise
            why = str(error).partition("\n")[0]
            raise DamagedPartError(f"{part}: cannot be read ({why})") from error


def _check_version(part: str, metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(b"schema_version", SCHEMA_VERSION.encode()).decode()
    if version != SCHEMA_VERSION:
        raise OutputError(other_version(part.rpartition("/data/shard=")[0], version))


def other_version(out: str, version: object) -> str:
    """The message for a run folder of another version of the run format."""
    return (
        f"{out} was written in version {version} of the run format, this ipseg has version "
        f"{SCHEMA_VERSION}: look at it with the one that wrote it; to write there, --overwrite it"
    )


def read_placed(
    out: str, columns: Sequence[str] | None = None, *, without: tuple[str, ...] = ()
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Streams the rows of a run with their places; a key that was written twice comes once.

    Rows whose images are gone from the source are left out. Arguments as for `read_batches`.
    """
    known = ["key", "key_hash", "gone"]
    wanted = None if columns is None else list(dict.fromkeys([*known, *columns]))
    shard, seen = "", set[bytes]()
    for part in part_files(out):
        folder = part.rpartition("/")[0]
        if folder != shard:  # a key has one shard, so no more need be remembered
            shard, seen = folder, set()
        index = -1
        for batch in read_batches(part, wanted, without=without):
            for record in batch.to_pylist():
                index += 1
                if record["key_hash"] not in seen and not record["gone"]:
                    seen.add(record["key_hash"])
                    yield Place(record["key"], part, index), record


def read_rows(out: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Streams the rows of a run, part after part; a key that was written twice comes once."""
    return (record for _, record in read_placed(out, columns))


def read_place(place: Place, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """One row.

    Args:
        place: where it is.
        columns: to read, None for all.

    Raises:
        IndexError: the part has no such row.
        OSError, OutputError: as `read_batches`.
    """
    table, first = read_group(place.part, place.index, columns)
    row: dict[str, Any] = table.slice(place.index - first, 1).to_pylist()[0]
    return row


def read_group(part: str, index: int, columns: Sequence[str] | None = None) -> tuple[pa.Table, int]:
    """The rows of a part that can only be read together with one row, and the first one's index.

    Args:
        part: its address.
        index: of the row in it.
        columns: to read, None for all.

    Raises:
        IndexError: the part has no such row.
        OSError, OutputError: as `read_batches`.
    """
    with _opened(part, columns) as file:
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if index < first + rows:
                return file.read_row_group(group, columns=columns), first
            first += rows
    raise IndexError(f"{part} has no row {index}")


def find_place(out: str, key: str) -> Place:
    """Where the row of one key is.

    Raises:
        OutputError: the run has no such key.
    """
    for part in part_files(out):
        index = 0
        for batch in read_batches(part, ["key"]):
            keys = batch["key"].to_pylist()
            if key in keys:
                return Place(key, part, index + keys.index(key))
            index += len(keys)
    raise OutputError(f"{out} has no row with key {key!r}")
