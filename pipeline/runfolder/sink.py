"""Finished rows in the published schema: one row out for each row in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pyarrow as pa

from ipseg.columns import COLUMNS, ERROR_COLUMNS, column, to_table
from ipseg.crowd import Crowd
from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.rows import Row, is_failed
from ipseg.storage.files import remove, write_whole
from pipeline.runfolder.parts import SCHEMA_VERSION, write_part
from pipeline.sources.carry import Types, unpack
from pipeline.sources.shard import key_hash

POISONED = "PoisonedRow"
OBJECTS = ("objects", "metrics", "chain_errors")  # what a run writes of each image

CROWDS = "crowds"  # beside them, where instances are counted
KEPT = {"objects": "kept_objects", "metrics": "kept_metrics", CROWDS: "kept_crowds"}
_ROW = ("key", "uri", "width", "height", "version", "content_hash")


def output_schema(columns: Sequence[str] = OBJECTS) -> pa.Schema:
    """Schema of the parts of a run that writes these columns, the main one first."""
    return pa.schema(
        [
            *((name, COLUMNS[name].arrow) for name in _ROW),
            ("key_hash", pa.binary()),  # 16 bytes; not every reader knows a fixed size
            ("row_status", pa.string()),
            ("gone", pa.bool_()),
            *((name, COLUMNS[name].arrow) for name in (*ERROR_COLUMNS, *columns)),
            ("incomplete", pa.int32()),
            *((name, pa.string()) for name in ("run_id", "model", "config_sha256")),
            ("prompt_ids", pa.list_(pa.string())),
        ],
        metadata={"schema_version": SCHEMA_VERSION},
    )


@dataclass(frozen=True)
class Provenance:
    """What every row says about how it was made.

    Attributes:
        run_id: points to the run in the manifest.
        model: method and profile.
        config_sha256: over all that changes results.
        prompt_ids: concept and image hash of each prompt.
    """

    run_id: str
    model: str
    config_sha256: str
    prompt_ids: tuple[str, ...]


def status_of(row: Row, main: str) -> str:
    """'failed', 'poisoned', 'empty' (processed, nothing found in column `main`) or 'ok'."""
    if is_failed(row):
        return "poisoned" if row["error_type"] == POISONED else "failed"
    return "ok" if row[main] or row.get(KEPT.get(main, "")) else "empty"


def incomplete(row: Row) -> int:
    """How much of a row that has not failed could not be done: chains, and comparisons."""
    failed = sum(metric["status"] == "failed" for metric in row.get("metrics", ()))
    return max(failed, len(row.get("chain_errors", ())))


@dataclass(frozen=True)
class Part:
    """What was written at once.

    Attributes:
        shard: where.
        name: of the file.
        counts: rows by status.
    """

    shard: str
    name: str
    counts: Counter[str]


@dataclass(frozen=True)
class ShardWriter:
    """Writes finished rows below OUT. Picklable; may run anywhere, twice for the same rows.

    Attributes:
        out: a local path or any fsspec URL.
        provenance: written with every row.
        columns: that hold the results, the main one, a list, first.
        group_rows: rows of a part that can be read by themselves, None for many.
        carried: type of each column of the source that goes along.
    """

    out: str
    provenance: Provenance
    columns: tuple[str, ...] = OBJECTS
    group_rows: int | None = None
    carried: Types = field(default_factory=dict)

    def write(self, rows: Sequence[Row]) -> list[Part]:
        """Writes one part for each shard among the rows."""
        by_shard: dict[str, list[Row]] = {}
        for row in rows:
            by_shard.setdefault(row["shard"], []).append(row)
        parts = []
        for shard, members in by_shard.items():
            table = self.table(members)
            name = write_part(self.out, shard, table, self.group_rows)
            parts.append(Part(shard, name, Counter(table["row_status"].to_pylist())))
        return parts

    def table(self, rows: Sequence[Row]) -> pa.Table:
        """Finished rows in the published schema; every row has every column."""
        lists = [name for name in self.columns if pa.types.is_list(column(name).arrow)]
        whole = [_with_kept(row, lists) for row in rows]
        results = to_table(whole, self.columns)
        about = [
            {
                **{name: row.get(name) for name in (*_ROW, *ERROR_COLUMNS)},
                "key_hash": key_hash(row["key"]),
                "row_status": status_of(row, self.columns[0]),
                "gone": False,
                "incomplete": incomplete(row),
                **vars(self.provenance),
            }
            for row in rows
        ]
        schema = output_schema(self.columns)
        rest = pa.Table.from_pylist(
            about, pa.schema([f for f in schema if f.name not in self.columns])
        )
        arrays = [(results if n in self.columns else rest)[n] for n in schema.names]
        for name, array in unpack([row.get("carried") for row in rows], self.carried).items():
            arrays.append(array)
            schema = schema.append(pa.field(name, array.type))
        return pa.Table.from_arrays(arrays, schema=schema)


def _with_kept(row: Row, lists: Sequence[str]) -> Row:
    """The results of a row, those of an earlier run for other concepts among them."""
    found = {} if is_failed(row) else row
    whole = {**dict.fromkeys(lists, ()), **found}
    for name, kept in KEPT.items():
        if name in lists and row.get(kept):
            whole[name] = sorted([*row[kept], *whole[name]], key=_concept)
    return whole


def _concept(item: Object | Crowd | Mapping[str, Any]) -> str:
    return str(item["concept"]) if isinstance(item, Mapping) else item.concept


def check_writable(url: str) -> str:
    """Refuses an output that cannot be written to, before any work is done; returns it.

    Raises:
        OutputError: with the system's reason.
    """
    probe = f"{url.rstrip('/')}/.ipseg-{uuid4().hex}"
    try:
        write_whole(probe, b"")
        remove(probe)
    except OSError as error:
        raise OutputError(f"cannot write to {url}: {error}") from error
    return url
