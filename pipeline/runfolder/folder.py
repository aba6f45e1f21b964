"""The files of a run folder, for those who only look: nothing there is trusted to be whole.

A file that cannot be read is reported in one line (`unreadable`) and left out: people look at a run
most when something went wrong with it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pyarrow.parquet as pq

from ipseg.errors import OutputError
from ipseg.storage.files import filesystem, read_bytes
from ipseg.storage.retry import with_retry
from pipeline.runfolder.parts import SCHEMA_VERSION, Damage, DamagedPartError, other_version

Content = TypeVar("Content")

BANK = "bank"  # folder of the prompts' own run, below that of the images
SHARDS = "shards.parquet"
# Directly below the run's folder: the bank has shards of its own.
_PART = re.compile(r"^/?data/shard=([^/]+)/(part-[^/]*\.parquet)$")
_SUCCESS = re.compile(r"^/?finished/([^/]+)\.json$")


@dataclass
class Listing:
    """What there is in a run folder.

    Attributes:
        parts: shard -> name of each of its parts -> when it was written, in seconds since 1970.
        successes: shards that are finished.
    """

    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    successes: set[str] = field(default_factory=set)


def list_run(out: str) -> Listing:
    """Parts and marks of completion; nothing if there is no such folder.

    Raises:
        OSError: it cannot be listed after several attempts.
    """
    fs, root = filesystem(out)
    fs.invalidate_cache()
    found: dict[str, dict[str, Any]] = with_retry(out, lambda: fs.find(root, detail=True))
    listing = Listing()
    for path, info in found.items():
        name = path[len(root) :]
        if match := _PART.match(name):
            listing.parts.setdefault(match[1], {})[match[2]] = _modified(info)
        elif match := _SUCCESS.match(name):
            listing.successes.add(match[1])
    return listing


def read_json(file: str, problems: list[str]) -> dict[str, Any] | None:
    """A JSON object; None if there is none, or none that can be read, which `problems` then says.

    Raises:
        StorageError: the place cannot be opened.
    """
    return _read(file, problems, _json_object)


def read_manifest(out: str, problems: list[str]) -> dict[str, Any] | None:
    """What manifest.json says, on the terms of `read_json`.

    Raises:
        OutputError: it is of another version of the run format, whose rows nothing here would find.
    """
    manifest = read_json(f"{out}/manifest.json", problems)
    version = (manifest or {}).get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise OutputError(other_version(out, version))
    return manifest


@dataclass(frozen=True)
class Success:
    """What a finished shard says of itself.

    Attributes:
        rows: in its parts, each key once.
        counts: rows by status.
        incomplete: rows that have not failed, but of which a chain or a comparison has.
        parts: name of each part -> its rows.
        fingerprint: of the source that was read.
        run_id: of the run that finished it.
    """

    rows: int
    counts: dict[str, int]
    incomplete: int
    parts: dict[str, int]
    fingerprint: str
    run_id: str


def success_file(out: str, shard: str) -> str:
    """Where a shard is said to be finished."""
    return f"{out}/finished/{shard}.json"


def read_success(out: str, shard: str, problems: list[str]) -> Success | None:
    """What a finished shard says of itself, on the terms of `read_json`."""
    return _read(success_file(out, shard), problems, _success)


def _success(data: bytes) -> Success:
    content = _json_object(data)
    try:
        return Success(
            rows=int(content["rows"]),
            counts={str(status): int(n) for status, n in content["counts"].items()},
            incomplete=int(content["incomplete"]),
            parts={str(part["name"]): int(part["rows"]) for part in content["parts"]},
            fingerprint=str(content["fingerprint"]),
            run_id=str(content["run_id"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def read_expected(out: str, problems: list[str]) -> dict[str, tuple[int | None, str | None]]:
    """(rows or None, fingerprint) of each shard of the source; none before it was listed."""
    return _read(f"{out}/{SHARDS}", problems, _expected) or {}


def _expected(data: bytes) -> dict[str, tuple[int | None, str | None]]:
    rows = pq.read_table(io.BytesIO(data), columns=["shard", "rows", "fingerprint"]).to_pylist()
    return {row["shard"]: (row["rows"], row["fingerprint"]) for row in rows}


def _json_object(data: bytes) -> dict[str, Any]:
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content


def _read(file: str, problems: list[str], parse: Callable[[bytes], Content]) -> Content | None:
    try:
        return parse(read_bytes(file))
    except FileNotFoundError:
        return None
    except (*Damage, KeyError) as error:
        problems.append(unreadable(file, error))
        return None


def clear(out: str) -> None:
    """Removes what an earlier run has written, its bank included, and nothing else."""
    fs, root = filesystem(out)
    fs.invalidate_cache()
    for path in (f"{root}/{name}" for name in ("data", "finished", "damaged", "listing", BANK)):
        if fs.isdir(path):
            fs.rm(path, recursive=True)
    for name in (SHARDS, "entries.parquet", "manifest.json", "metrics.json", "report.html"):
        if fs.isfile(f"{root}/{name}"):
            fs.rm_file(f"{root}/{name}")


def unreadable(file: str, error: BaseException) -> str:
    """A file that cannot be read, and why, in one line."""
    if isinstance(error, DamagedPartError):  # has both in it
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"{file}: gone since it was listed; a run is rewriting it, look again"
    return f"{file}: cannot be read ({str(error).partition(chr(10))[0]})"


def moment(text: object) -> datetime | None:
    """A time from its ISO form, UTC where it does not say; None if it is no time."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _modified(info: Mapping[str, Any]) -> float:
    """When a file was last written, in seconds since 1970, as each filesystem says it; else 0."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        when = info.get(name)
        if isinstance(when, int | float):
            return float(when)
        if isinstance(when, str):
            when = moment(when)
        if isinstance(when, datetime):
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return 0.0
