"""Looks at what is in a run folder: its rows, its shards, and keys that repeat.

Everything is read from the folder itself, so it can be asked from anywhere, while a run goes on or
long after. Only the columns that are needed are read, part by part. What is remembered are 16
bytes for each row of the shards being read, and 8 bytes for each row of the run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.errors import OutputError
from pipeline.runfolder.folder import (
    Listing,
    Success,
    list_run,
    moment,
    read_expected,
    read_json,
    read_manifest,
    read_success,
    success_file,
    unreadable,
)
from pipeline.runfolder.ignored import read_ignored
from pipeline.runfolder.lease import STALE_SECONDS, last_refreshed
from pipeline.runfolder.manifest import missing
from pipeline.runfolder.pace import pace_of_parts
from pipeline.runfolder.parts import PARTS, Damage, read_batches, shard_folder
from pipeline.runfolder.status import GONE, STATUSES, RunStatus, ShardStatus, State

QUIET_SECONDS = 300.0  # without any sign of life for longer, a run counts as stopped
READS_AT_ONCE = 16

_NO_HASHES = np.empty(0, "S16")
_COLUMNS = ("key_hash", "row_status", "gone", "run_id")


def survey_run(out: str, *, check_keys: bool = True) -> RunStatus:
    """Looks at a run folder; damaged files are named, never a reason to give up.

    Args:
        out: a path or any fsspec URL.
        check_keys: read the key of every row, to see whether any is there twice. Within a
            shard keys are compared by 128 bits, across shards by 64: among 100 million keys, two
            different ones meet with a probability of 0.0003. Without it the parts of complete
            shards are not read, and the newest run's rows in them are counted by the files' times.

    Raises:
        OutputError: there is no run at this place.
        StorageError: the place cannot be opened.
    """
    out, problems = out.rstrip("/"), list[str]()
    manifest = read_manifest(out, problems)
    listing = list_run(out)
    if manifest is None and not listing.parts and not problems:
        raise OutputError(f"no run at {out}: it has neither manifest.json nor {PARTS}")
    runs = (manifest or {}).get("runs") or [{}]
    newest: Mapping[str, Any] = runs[-1]
    lacking = missing(runs, newest["concepts"]) if newest.get("concepts") else {}
    started, finished = (moment(newest.get(name)) for name in ("started", "finished"))
    survey = _Survey(out, listing, newest.get("run_id"), started, frozenset(lacking), check_keys)
    expected = read_expected(out, problems)
    names = sorted({*expected, *listing.parts, *listing.successes})
    shards, prefixes, rows_of_run = [], [_prefixes(_NO_HASHES)], 0
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for found in pool.map(lambda name: survey.shard(name, *expected.get(name, ())), names):
            shards.append(found.status)
            prefixes.append(found.prefixes)
            rows_of_run += found.of_run
            problems += found.problems
    if finished is not None:
        metrics = read_json(f"{out}/metrics.json", problems) or {}
        problems += (metrics.get("ground_truth") or {}).get("warnings", [])
    times = [when for parts in listing.parts.values() for when in parts.values()]
    last = max(times, default=None)
    begun = moment(newest.get("begun"))
    since = begun or started
    return RunStatus(
        out=out,
        state=_state(out, started, finished, last),
        run_id=newest.get("run_id"),
        starts=len(runs) if manifest else 0,
        started=started,
        finished=finished,
        last_written=None if last is None else datetime.fromtimestamp(last, UTC),
        rows_of_run=rows_of_run,
        begun=begun,
        measured=newest.get("rows_per_second"),
        recent=pace_of_parts(since.timestamp(), times, rows_of_run) if since else 0.0,
        row_is=(manifest or {}).get("row_is", "row"),
        shards=tuple(shards),
        repeated_across=_repeated(np.concatenate(prefixes)) if check_keys else None,
        ignored=read_ignored(out),
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Found:
    """What was found in one shard."""

    status: ShardStatus
    prefixes: npt.NDArray[np.uint64]
    of_run: int
    problems: list[str]


@dataclass(frozen=True)
class _Survey:
    """Looks at one shard after the other; used from several threads."""

    out: str
    listing: Listing
    run_id: str | None
    started: datetime | None
    lacking: frozenset[str]  # starts whose rows lack a concept of the newest
    check_keys: bool

    def shard(self, name: str, rows: int | None = None, fingerprint: str | None = None) -> _Found:
        folder, parts = shard_folder(self.out, name), self.listing.parts.get(name, {})
        problems: list[str] = []
        success = read_success(self.out, name, problems) if name in self.listing.successes else None
        # It may speak of a source that has grown since, or of parts that somebody removed.
        if success is not None and success.run_id in self.lacking:
            rows, success = rows or success.rows - success.counts.get(GONE, 0), None
        if success is not None and (
            success.parts.keys() != parts.keys() or fingerprint not in (None, success.fingerprint)
        ):
            success = None
        if success is not None and not self.check_keys:
            counts = Counter(success.counts)
            status = ShardStatus(name, success.rows - counts[GONE], counts, None, True)
            return _Found(status, _prefixes(_NO_HASHES), self._written(success, parts), problems)
        hashes, codes, newest = self._read(folder, sorted(parts), problems)
        # A row that this run does again stands beside the old one until the shard is finished.
        repeated = sum(len(of) - len(np.unique(of)) for of in (hashes[newest], hashes[~newest]))
        order = np.argsort(~newest, kind="stable")
        hashes, codes = hashes[order], codes[order]
        first = np.unique(hashes, return_index=True)[1]
        numbers = np.bincount(codes[first], minlength=len(STATUSES))
        counts = Counter({key: int(n) for key, n in zip(STATUSES, numbers, strict=True) if n})
        if success is not None and success.rows != len(first):
            problems.append(
                f"{success_file(self.out, name)} says {success.rows} rows, the shard's parts hold "
                f"{len(first)}"
            )
        complete = success is not None and success.rows == len(first)
        expected = rows if success is None else success.rows - counts[GONE]
        status = ShardStatus(name, expected, counts, repeated, complete)
        return _Found(status, _prefixes(hashes[first]), int(newest.sum()), problems)

    def _written(self, success: Success, parts: Mapping[str, float]) -> int:
        """Rows of the newest run in a complete shard, by the time of its files."""
        if self.started is None or success.run_id != self.run_id:
            return 0
        since = self.started.timestamp()
        return sum(rows for part, rows in success.parts.items() if parts[part] >= since)

    def _read(
        self, folder: str, parts: list[str], problems: list[str]
    ) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """(key hash, index into STATUSES, whether it is of the newest run) of each row."""
        hashes, codes, newest = [_NO_HASHES], [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
        for part in parts:
            try:
                for whole in read_batches(f"{folder}/{part}", _COLUMNS):
                    batch = whole.filter(_as_asked(whole, self.lacking))
                    keys = _hashes(batch["key_hash"])
                    codes.append(_codes(batch["row_status"], batch["gone"]))
                    hashes.append(keys)
                    of_run = pc.equal(batch["run_id"], self.run_id or "")
                    newest.append(of_run.to_numpy(zero_copy_only=False))
            except Damage as error:
                problems.append(unreadable(f"{folder}/{part}", error))
        return np.concatenate(hashes), np.concatenate(codes), np.concatenate(newest)


def _as_asked(batch: pa.RecordBatch, lacking: frozenset[str]) -> pa.Array:
    """Whether nothing is left to do of a row; one that has failed is not done again by itself."""
    lacks = pc.is_in(batch["run_id"], pa.array(sorted(lacking), pa.string()))
    again = pc.and_(lacks, pc.is_in(batch["row_status"], pa.array(["ok", "empty"])))
    return pc.or_kleene(pc.invert(again), batch["gone"])


def _hashes(column: pa.Array) -> npt.NDArray[np.bytes_]:
    hashes = column.cast(pa.binary(16))  # refuses other lengths
    if hashes.null_count:
        raise ValueError("its column 'key_hash' is not 16 bytes in every row")
    values: npt.NDArray[np.bytes_] = np.frombuffer(hashes.buffers()[1] or b"", "S16")
    return values[hashes.offset : hashes.offset + len(hashes)].copy()


def _codes(column: pa.Array, gone: pa.Array) -> npt.NDArray[np.int64]:
    codes = pc.index_in(column, value_set=pa.array(STATUSES))
    if codes.null_count:
        raise ValueError(f"its column 'row_status' has values other than {', '.join(STATUSES)}")
    values: npt.NDArray[np.int64] = pc.if_else(gone, STATUSES.index(GONE), codes).to_numpy()
    return values.astype(np.int64)


def _prefixes(hashes: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each."""
    return np.ascontiguousarray(hashes).view(np.uint64)[::2].copy()


def _repeated(prefixes: npt.NDArray[np.uint64]) -> int:
    prefixes.sort()
    return int(np.count_nonzero(prefixes[1:] == prefixes[:-1]))


def _state(
    out: str, started: datetime | None, finished: datetime | None, last: float | None
) -> State:
    if finished is not None:
        return "finished"
    now = time.time()
    try:
        refreshed = last_refreshed(out)
    except Damage:  # a lease that nobody can read holds nothing
        return "stopped"
    if refreshed is None:
        sign = max(last or 0.0, started.timestamp() if started else 0.0)
        return "unknown" if now - sign < QUIET_SECONDS else "stopped"
    return "running" if now - refreshed <= STALE_SECONDS else "stopped"
