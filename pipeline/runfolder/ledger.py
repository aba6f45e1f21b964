"""The output is the ledger: what is in the parts of a shard is done.

A shard is opened when it is read: its parts are put in order (rows that are to be tried again are
taken out, of repeats all but the newest) and the keys they hold are skipped. When every row of a
shard is in its parts, `OUT/finished/<shard>.json` is written, last.

A finished row may still be done again, or in part (`pipeline.runfolder.unfinished`): the new row
takes the place of the old one when the shard is finished, or the run is stopped.

Whatever this run itself has written does not count while it goes on: Ray reads a shard again when
a machine is lost, and must then get the same rows in the same order as the first time.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import OutputError
from ipseg.storage.files import exists, read_bytes, remove, write_whole
from pipeline.runfolder.finished import BROKEN, Finished, Retry
from pipeline.runfolder.folder import success_file
from pipeline.runfolder.parts import (
    SCHEMA_VERSION,
    DamagedPartError,
    read_batches,
    shard_parts,
    write_part,
)
from pipeline.runfolder.status import GONE
from pipeline.sources.shard import Shard

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Ledger:
    """What is done, below OUT. Picklable; used where shards are read and written.

    Attributes:
        out: run folder.
        run_id: of this run, new each time the command is started.
        config_sha256: of everything that changes results.
        runs: ids of the earlier starts, oldest first: of repeated rows that of the latest counts.
        missing: id of an earlier start -> concepts that it did not look for.
        retry: rows to do again, None for none.
        check_content: compare the bytes of every image with those that the row was made from.
        group_rows: as `ShardWriter.group_rows`.
    """

    out: str
    run_id: str
    config_sha256: str
    runs: tuple[str, ...] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry: Retry | None = None
    check_content: bool = False
    group_rows: int | None = None

    def open_shard(self, shard: str) -> dict[bytes, tuple[Finished, str]]:
        """The rows that earlier runs have finished, and the part of each, by key hash."""
        if self._success(shard) is None or self.retry is not None:
            self._put_in_order(shard)
        done = (
            (row, part) for part in shard_parts(self.out, shard) for row in _rows_of(part) or ()
        )
        return {row.key_hash: (row, part) for row, part in done if row.run_id != self.run_id}

    def finished(self, shard: Shard) -> Counter[str] | None:
        """Counts by status if an earlier run has finished the shard as it is now, else None.

        Not if somebody has removed a part of it since: its rows are done again.
        """
        success = self._success(shard.id)
        if success is None or success["fingerprint"] != shard.fingerprint:
            return None
        if self.check_content or success["run_id"] in self.missing:
            return None
        counts = Counter({str(status): int(n) for status, n in success["counts"].items()})
        if self.retry is not None and (
            success["incomplete"] or any(counts[status] for status in BROKEN)
        ):
            return None
        there = {part.rpartition("/")[2] for part in shard_parts(self.out, shard.id)}
        return counts if there >= {part["name"] for part in success["parts"]} else None

    def finish_shard(self, shard: str, rows: int, fingerprint: str) -> Counter[str]:
        """Checks that a shard's parts hold all its rows, each once, and says so in OUT/finished.

        Returns its rows by status.

        Args:
            shard: its id.
            rows: of the source.
            fingerprint: of the source.

        Raises:
            OutputError: rows are missing, as when somebody removed a part.
        """
        counts, incomplete, parts, repeated = self._audit(shard)
        if repeated:
            self.put_in_order(shard)
            counts, incomplete, parts, _ = self._audit(shard)
        if counts.total() < rows:
            raise OutputError(
                f"shard {shard} of {self.out} holds {counts.total()} of {rows} rows: parts were "
                f"lost while the run went on; start the same command again"
            )
        success = {
            "shard": shard,
            "rows": counts.total(),
            "counts": dict(sorted(counts.items())),
            "incomplete": incomplete,
            "parts": parts,
            "fingerprint": fingerprint,
            "config_sha256": self.config_sha256,
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_whole(success_file(self.out, shard), (json.dumps(success, indent=1) + "\n").encode())
        return counts

    def put_in_order(self, shard: str) -> None:
        """Removes rows of a shard that newer ones replace, those of this run included."""
        self._put_in_order(shard, own=True)

    def _success(self, shard: str) -> dict[str, Any] | None:
        """What an earlier run said when it finished the shard."""
        try:
            success: dict[str, Any] = json.loads(read_bytes(success_file(self.out, shard)))
        except FileNotFoundError:
            return None
        return None if success["run_id"] == self.run_id else success

    def _put_in_order(self, shard: str, *, own: bool = False) -> None:
        """Rewrites the parts that hold rows to try again, or rows that another part has too.

        A rewritten part is there before the old one goes: killed in between, both are there and
        the next run drops the repeats. Rows of this run are left alone unless `own`.
        """
        parts = {part: _rows_of(part) for part in shard_parts(self.out, shard)}
        newest: dict[bytes, int] = {}
        for row in (row for rows in parts.values() for row in rows or ()):
            newest[row.key_hash] = max(newest.get(row.key_hash, -1), self._age(row))
        for part, rows in parts.items():
            if rows is None:
                self._set_aside(shard, part)
                continue
            keep = []
            retry = None if own else self.retry
            for row in rows:
                if row.run_id == self.run_id and not own:
                    keep.append(True)
                    continue
                again = retry is not None and not row.gone and retry.wants(row)
                best = newest.get(row.key_hash) == self._age(row)
                if best:
                    del newest[row.key_hash]  # of equally new ones the first
                keep.append(best and not again)
            if all(keep):
                continue
            success = success_file(self.out, shard)
            if exists(success) and not own:
                remove(success)
            whole = _read_part(part, None)
            if any(keep) and whole is not None:
                write_part(self.out, shard, whole.filter(pa.array(keep)), self.group_rows)
            remove(part)

    def _age(self, row: Finished) -> int:
        """Number of the start that wrote it; that of this one is the highest."""
        if row.run_id == self.run_id:
            return len(self.runs)
        return self.runs.index(row.run_id) if row.run_id in self.runs else 0

    def mark_shard_gone(self, shard: str) -> Counter[str]:
        """Marks all rows of a shard that the source has no longer; returns them by status."""
        success = self._success(shard)
        if success is None or success["fingerprint"] != GONE:
            self.mark_gone(shard, self.open_shard(shard))
            self.finish_shard(shard, 0, GONE)
        return self._audit(shard)[0]

    def mark_gone(self, shard: str, gone: Collection[bytes]) -> None:
        """Rewrites the parts in which a row does not say whether its image is still there.

        Args:
            shard: its id, read to its end.
            gone: key hashes of rows whose images are no longer in the source.
        """
        for part in shard_parts(self.out, shard):
            rows = _rows_of(part) or []
            column = [row.key_hash in gone for row in rows]
            table = _read_part(part, None) if column != [row.gone for row in rows] else None
            if table is not None:
                place = table.schema.get_field_index("gone")
                table = table.set_column(place, "gone", pa.array(column))
                write_part(self.out, shard, table, self.group_rows)  # the same keys, the same name

    def _set_aside(self, shard: str, part: str) -> None:
        """Takes a damaged part out of the way of readers; what is in it may still be looked at."""
        name = part.rpartition("/")[2]
        write_whole(f"{self.out}/damaged/{shard}/{name}", read_bytes(part))
        remove(part)

    def _audit(self, shard: str) -> tuple[Counter[str], int, list[dict[str, Any]], int]:
        """(unique keys by status, incomplete ones, parts with hashes, repeated keys)."""
        counts: Counter[str] = Counter()
        parts, seen, incomplete, repeated = [], set[bytes](), 0, 0
        for part in shard_parts(self.out, shard):
            data = read_bytes(part)
            table = pq.read_table(io.BytesIO(data), columns=list(Finished._fields))
            for row in _rows_in(table):
                if row.key_hash in seen:
                    repeated += 1
                    continue
                seen.add(row.key_hash)
                counts[row.status] += 1
                incomplete += row.incomplete > 0 and not row.gone
            parts.append(
                {
                    "name": part.rpartition("/")[2],
                    "rows": table.num_rows,
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
        return counts, incomplete, parts, repeated


def _rows_of(part: str) -> list[Finished] | None:
    """The rows of a part; None if the file is damaged."""
    table = _read_part(part, Finished._fields)
    return None if table is None else _rows_in(table)


def _rows_in(table: pa.Table) -> list[Finished]:
    columns = (table[name].to_pylist() for name in Finished._fields)
    return [Finished(*values) for values in zip(*columns, strict=True)]


def _read_part(part: str, columns: Sequence[str] | None) -> pa.Table | None:
    """The part, or some of its columns; None if the file is damaged."""
    try:
        batches = list(read_batches(part, columns))
        return pa.Table.from_batches(batches) if batches else None
    except DamagedPartError as error:  # storage that cannot be read is no damage
        log.warning("%s; its rows are done again", error)
        return None
