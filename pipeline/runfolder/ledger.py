"""The output is the ledger: what is in the parts of a shard is done.

A shard is opened when it is read: its parts are put in order (rows that are to be tried again are
taken out, repeats dropped) and the keys they hold are skipped. When every row of a shard is in its
parts, `_SUCCESS.json` is written there, last.

Whatever this run itself has written does not count while it goes on: Ray reads a shard again when
a machine is lost, and must then get the same rows in the same order as the first time.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import ConfigError, OutputError
from ipseg.storage.files import exists, read_bytes, remove, write_whole
from pipeline.runfolder.parts import (
    SCHEMA_VERSION,
    DamagedPartError,
    read_batches,
    shard_parts,
    write_part,
)
from pipeline.sources.shard import Shard

log = logging.getLogger("ipseg")

BROKEN = ("failed", "poisoned")
_DONE = ("key_hash", "row_status", "error_type", "incomplete", "run_id")


@dataclass(frozen=True)
class Retry:
    """Which finished rows are to be done again.

    Attributes:
        types: error types; empty for all failed and poisoned rows, and for those of which a chain
            or a comparison failed.
    """

    types: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Retry:
        """From "failed" or "failed:TYPE,TYPE".

        Raises:
            ConfigError: it is of another form.
        """
        what, sign, types = text.partition(":")
        chosen = tuple(name.strip() for name in types.split(",") if name.strip())
        if what != "failed" or bool(sign) != bool(chosen):
            raise ConfigError(f"--retry {text!r} is not of the form failed or failed:TYPE,TYPE")
        return Retry(chosen)

    def wants(self, status: str, error_type: str | None, incomplete: int) -> bool:
        """Whether a row of this status and error is to be done again."""
        if not self.types:
            return status in BROKEN or incomplete > 0
        return status in BROKEN and error_type in self.types


@dataclass(frozen=True)
class Ledger:
    """What is done, below OUT. Picklable; used where shards are read and written.

    Attributes:
        out: run folder.
        run_id: of this run, new each time the command is started.
        config_sha256: of everything that changes results.
        retry: rows to do again, None for none.
        group_rows: as `ShardWriter.group_rows`.
    """

    out: str
    run_id: str
    config_sha256: str
    retry: Retry | None = None
    group_rows: int | None = None

    def open_shard(self, shard: Shard) -> dict[bytes, str]:
        """Status of each row that an earlier run has finished, by key hash."""
        if self._success(shard.id) is None or self.retry is not None:
            self._put_in_order(shard.id)
        parts = (_rows_of(part) or () for part in shard_parts(self.out, shard.id))
        done = (row for rows in parts for row in rows)
        return {key: status for key, status, _, _, run_id in done if run_id != self.run_id}

    def finished(self, shard: Shard) -> Counter[str] | None:
        """Counts by status if an earlier run has finished the shard as it is now, else None."""
        success = self._success(shard.id)
        if success is None or success["fingerprint"] != shard.fingerprint:
            return None
        counts = Counter({str(status): int(n) for status, n in success["counts"].items()})
        if self.retry is not None and (
            success["incomplete"] or any(counts[status] for status in BROKEN)
        ):
            return None
        return counts

    def finish_shard(self, shard: str, rows: int, fingerprint: str) -> None:
        """Checks that a shard's parts hold all its rows, each once, and says so in _SUCCESS.json.

        Args:
            shard: its id.
            rows: of the source.
            fingerprint: of the source.

        Raises:
            OutputError: rows are missing, as when somebody removed a part.
        """
        counts, incomplete, parts, repeated = self._audit(shard)
        if repeated:
            self._put_in_order(shard, own=True)
            counts, incomplete, parts, _ = self._audit(shard)
        if counts.total() < rows:
            raise OutputError(
                f"{self.out}/shard={shard} holds {counts.total()} of {rows} rows: parts were lost "
                f"while the run went on; start the same command again"
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
        write_whole(self._success_file(shard), (json.dumps(success, indent=1) + "\n").encode())

    def _success_file(self, shard: str) -> str:
        return f"{self.out}/shard={shard}/_SUCCESS.json"

    def _success(self, shard: str) -> dict[str, Any] | None:
        """What an earlier run said when it finished the shard."""
        try:
            success: dict[str, Any] = json.loads(read_bytes(self._success_file(shard)))
        except FileNotFoundError:
            return None
        return None if success["run_id"] == self.run_id else success

    def _put_in_order(self, shard: str, *, own: bool = False) -> None:
        """Rewrites the parts that hold rows to try again, or rows that another part has too.

        A rewritten part is there before the old one goes: killed in between, both are there and
        the next run drops the repeats. Rows of this run are left alone unless `own`.
        """
        seen: set[bytes] = set()
        for part in shard_parts(self.out, shard):
            done = _rows_of(part)
            if done is None:
                _set_aside(part)
                continue
            keep = []
            retry = None if own else self.retry
            for key, status, error, incomplete, run_id in done:
                if run_id == self.run_id and not own:
                    keep.append(True)
                    continue
                again = retry is not None and retry.wants(status, error, incomplete)
                keep.append(not again and key not in seen)
                seen.add(key)
            if all(keep):
                continue
            success = self._success_file(shard)
            if exists(success) and not own:
                remove(success)
            whole = _read_part(part, None)
            if any(keep) and whole is not None:
                write_part(self.out, shard, whole.filter(pa.array(keep)), self.group_rows)
            remove(part)

    def _audit(self, shard: str) -> tuple[Counter[str], int, list[dict[str, Any]], int]:
        """(unique keys by status, incomplete ones, parts with hashes, repeated keys)."""
        counts: Counter[str] = Counter()
        parts, seen, incomplete, repeated = [], set[bytes](), 0, 0
        for part in shard_parts(self.out, shard):
            data = read_bytes(part)
            table = pq.read_table(io.BytesIO(data), columns=list(_DONE))
            names = ("key_hash", "row_status", "incomplete")
            for key, status, lacks in zip(*(table[n].to_pylist() for n in names), strict=True):
                if key in seen:
                    repeated += 1
                    continue
                seen.add(key)
                counts[status] += 1
                incomplete += lacks > 0
            parts.append(
                {
                    "name": part.rpartition("/")[2],
                    "rows": table.num_rows,
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
        return counts, incomplete, parts, repeated


def _rows_of(part: str) -> list[tuple[bytes, str, str | None, int, str]] | None:
    """Columns `_DONE` of each row; None if the file is damaged."""
    table = _read_part(part, _DONE)
    if table is None:
        return None
    return list(zip(*(table[name].to_pylist() for name in _DONE), strict=True))


def _read_part(part: str, columns: Sequence[str] | None) -> pa.Table | None:
    """The part, or some of its columns; None if the file is damaged."""
    try:
        batches = list(read_batches(part, columns))
        return pa.Table.from_batches(batches) if batches else None
    except DamagedPartError as error:  # storage that cannot be read is no damage
        log.warning("%s; its rows are done again", error)
        return None


def _set_aside(part: str) -> None:
    """Takes a damaged part out of the way of readers; what is in it may still be looked at."""
    write_whole(f"{part}.damaged", read_bytes(part))
    remove(part)
