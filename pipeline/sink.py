"""Rows to Parquet shards: one row out for each row in, in files named after what they hold.

    OUT/shard=<id>/part-<sha256 of its sorted keys, 16 hex>.parquet

The same rows give the same name, so a repeated write replaces itself. A part appears whole or not
at all: a rename on a local disk, a single PUT on an object store.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from ipseg.columns import COLUMNS
from ipseg.errors import OutputError
from ipseg.rows import Row, is_failed
from ipseg.storage import filesystem

SCHEMA_VERSION = "1"
STATUSES = ("ok", "empty", "skipped", "failed")

_ROW = ("key", "uri", "width", "height")
_ERROR = ("error_stage", "error_type", "error_message")
SCHEMA = pa.schema(
    [
        *(pa.field(name, COLUMNS[name].arrow) for name in _ROW),
        pa.field("key_hash", pa.binary(16)),
        pa.field("row_status", pa.string()),
        *(pa.field(name, COLUMNS[name].arrow) for name in _ERROR),
        pa.field("objects", COLUMNS["objects"].arrow),
        pa.field("metrics", COLUMNS["metrics"].arrow),
        pa.field("run_id", pa.string()),
        pa.field("model", pa.string()),
        pa.field("config_sha256", pa.string()),
        pa.field("prompt_ids", pa.list_(pa.string())),
    ],
    metadata={"schema_version": SCHEMA_VERSION},
)


@dataclass(frozen=True)
class Provenance:
    """What every row says about how it was made.

    Attributes:
        run_id: points to the run's manifest.
        model: method and profile.
        config_sha256: over all settings that change results.
        prompt_ids: concept and picture hash of each prompt.
    """

    run_id: str
    model: str
    config_sha256: str
    prompt_ids: tuple[str, ...]


def status_of(row: Row) -> str:
    """'failed', 'empty' (processed, nothing found) or 'ok'."""
    if is_failed(row):
        return "failed"
    return "ok" if row["objects"] else "empty"


def output_table(rows: Sequence[Row], provenance: Provenance) -> pa.Table:
    """Finished rows in the published schema; every row has every column."""
    records = []
    for row in rows:
        done = not is_failed(row)
        records.append(
            {
                **{name: row.get(name) for name in (*_ROW, *_ERROR)},
                "key_hash": hashlib.sha256(row["key"].encode("utf-8", "replace")).digest()[:16],
                "row_status": status_of(row),
                "objects": row["objects"] if done else [],
                "metrics": row.get("metrics", []) if done else [],
                "run_id": provenance.run_id,
                "model": provenance.model,
                "config_sha256": provenance.config_sha256,
                "prompt_ids": list(provenance.prompt_ids),
            }
        )
    return pa.Table.from_pylist(records, SCHEMA)


@dataclass(frozen=True)
class ShardWriter:
    """Writes finished rows below OUT. Picklable; may run anywhere, twice for the same rows.

    Attributes:
        url: OUT, a local path or any fsspec URL.
        provenance: written with every row.
    """

    url: str
    provenance: Provenance

    def write(self, rows: Sequence[Row]) -> Counter[str]:
        """Writes one part for each shard among the rows; returns counts by status."""
        by_shard: dict[str, list[Row]] = {}
        for row in rows:
            by_shard.setdefault(row["shard"], []).append(row)
        counts: Counter[str] = Counter()
        for shard, members in by_shard.items():
            members.sort(key=lambda row: str(row["key"]))
            table = output_table(members, self.provenance)
            keys = "\n".join(table["key"].to_pylist())
            name = hashlib.sha256(keys.encode()).hexdigest()[:16]
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd", write_page_index=True)
            write_whole(f"{self.url}/shard={shard}/part-{name}.parquet", buffer.getvalue())
            counts.update(table["row_status"].to_pylist())
        return counts


def write_whole(url: str, data: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    fs, path = filesystem(url)
    if not _is_local(fs):
        fs.pipe_file(path, data)  # a single PUT
        return
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    # Hidden, so that no reader takes a half-written file for a part.
    temporary = f"{path.rpartition('/')[0]}/.{uuid4().hex}.tmp"
    try:
        fs.pipe_file(temporary, data)
        fs.mv(temporary, path)
    except BaseException:
        if fs.exists(temporary):
            fs.rm_file(temporary)
        raise


def check_writable(url: str) -> None:
    """Refuses an output that cannot be written to, before any work is done.

    Raises:
        OutputError: with the system's reason.
    """
    probe = f"{url.rstrip('/')}/.ipseg-{uuid4().hex}"
    try:
        write_whole(probe, b"")
        fs, path = filesystem(probe)
        fs.rm_file(path)
    except OSError as error:
        raise OutputError(f"cannot write to {url}: {error}") from error


def part_files(url: str) -> list[str]:
    """Paths (inside the filesystem) of all parts of a run, sorted.

    Raises:
        OutputError: there is no run at this place.
    """
    fs, root = filesystem(url)
    parts = sorted(fs.glob(f"{root.rstrip('/')}/shard=*/part-*.parquet"))
    if not parts:
        raise OutputError(f"{url} holds no finished parts (shard=*/part-*.parquet)")
    return [str(part) for part in parts]


def read_rows(url: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Streams the rows of a run, part after part; a key that was written twice comes once."""
    fs, _ = filesystem(url)
    wanted = None if columns is None else list(dict.fromkeys(["key_hash", *columns]))
    seen: set[bytes] = set()
    for part in part_files(url):
        for batch in pads.dataset(part, filesystem=fs, format="parquet").to_batches(columns=wanted):
            for record in batch.to_pylist():
                if record["key_hash"] not in seen:
                    seen.add(record["key_hash"])
                    yield record


def read_row(url: str, key: str) -> dict[str, Any]:
    """The row of one key.

    Raises:
        OutputError: the run has no such key.
    """
    fs, _ = filesystem(url)
    for part in part_files(url):
        found = pads.dataset(part, filesystem=fs, format="parquet").to_table(
            filter=pads.field("key") == key
        )
        if found.num_rows:
            row: dict[str, Any] = found.slice(0, 1).to_pylist()[0]
            return row
    raise OutputError(f"{url} has no row with key {key!r}")


def _is_local(fs: Any) -> bool:  # noqa: ANN401
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
