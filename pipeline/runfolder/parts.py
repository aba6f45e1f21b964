"""Part files: finished rows of one shard, in a file named after the keys it holds.

    OUT/shard=<id>/part-<sha256 of its sorted keys, 16 hex>.parquet

The same rows give the same name, so a repeated write replaces itself. A part appears whole or not
at all. The same key can still stand in two parts, when a run was killed between two writes;
`pipeline.runfolder.ledger` repairs that when the shard is opened next, and readers take such a key
once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import OutputError
from ipseg.storage.files import open_input, write_whole
from ipseg.storage.walk import list_files

_ROWS_AT_ONCE = 1024


def part_name(keys: Sequence[str]) -> str:
    """File name of a part with these keys, in whatever order."""
    joined = "\n".join(sorted(keys))
    return f"part-{hashlib.sha256(joined.encode('utf-8', 'replace')).hexdigest()[:16]}.parquet"


def write_part(out: str, shard: str, table: pa.Table) -> str:
    """Writes finished rows, sorted by key, as one part; returns its file name."""
    table = table.sort_by("key")
    name = part_name(table["key"].to_pylist())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_index=True)
    write_whole(f"{out}/shard={shard}/{name}", buffer.getvalue())
    return name


def shard_parts(out: str, shard: str) -> list[str]:
    """Addresses of the parts of one shard, sorted; none if nothing was written yet."""
    return list_files(f"{out}/shard={shard}", "part-*.parquet")


def part_files(out: str) -> list[str]:
    """Addresses of all parts of a run, sorted: shard after shard.

    Raises:
        OutputError: there is no run at this place.
    """
    parts = list_files(out.rstrip("/"), "shard=*/part-*.parquet")
    if not parts:
        raise OutputError(f"{out} holds no finished parts (shard=*/part-*.parquet)")
    return parts


def read_rows(out: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Streams the rows of a run, part after part; a key that was written twice comes once."""
    wanted = None if columns is None else list(dict.fromkeys(["key_hash", *columns]))
    shard, seen = "", set[bytes]()
    for part in part_files(out):
        folder = part.rpartition("/")[0]
        if folder != shard:  # a key has one shard, so no more need be remembered
            shard, seen = folder, set()
        with open_input(part) as handle:
            for batch in pq.ParquetFile(handle).iter_batches(_ROWS_AT_ONCE, columns=wanted):
                for record in batch.to_pylist():
                    if record["key_hash"] not in seen:
                        seen.add(record["key_hash"])
                        yield record


def read_row(out: str, key: str) -> dict[str, Any]:
    """The row of one key.

    Raises:
        OutputError: the run has no such key.
    """
    for part in part_files(out):
        with open_input(part) as handle:
            parquet = pq.ParquetFile(handle)
            keys = parquet.read(columns=["key"])["key"].to_pylist()
            if key in keys:
                row: dict[str, Any] = parquet.read().slice(keys.index(key), 1).to_pylist()[0]
                return row
    raise OutputError(f"{out} has no row with key {key!r}")
