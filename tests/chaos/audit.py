"""What stands in a run folder, read as it is: no repeat is passed over, no gap is forgiven."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from driver import Job

from ipseg.storage.files import read_bytes
from ipseg.storage.walk import list_files

Contents = dict[str, dict[str, Any]]  # rows by key, without what a run says of itself
OWN = ("run_id", "version")


@dataclass
class Findings:
    """What came of one trial.

    Attributes:
        hit: whom the faults have hit; empty if none, and then the trial shows nothing.
        lost: rows that are not in the output.
        twice: rows too many in the parts.
        wrong: everything that is not as it must be, in words.
    """

    hit: list[str] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    wrong: list[str] = field(default_factory=list)

    def struck(self, whom: str) -> bool:
        """Remembers whom a fault has hit; False for nobody, ""."""
        if whom:
            self.hit.append(whom)
        return bool(whom)

    def check(self, holds: bool, otherwise: str) -> None:
        """Remembers what does not hold."""
        if not holds:
            self.wrong.append(otherwise)

    def audit(self, out: str, expected: Contents, own: Iterable[str] = OWN) -> None:
        """Compares every row of every part with an undisturbed run's."""
        held = Counter[str]()
        different = []
        for row in rows(out):
            key = row["key"]
            held[key] += 1
            if without(row, own) != expected.get(key):
                different.append(key)
        missing = expected.keys() - held.keys()
        twice = {key: n for key, n in held.items() if n > 1}
        self.lost += len(missing)
        self.twice += sum(twice.values()) - len(twice)
        self.check(not missing, f"lost: {sorted(missing)[:5]}")
        self.check(not twice, f"written again: {dict(sorted(twice.items())[:5])}")
        self.check(not different, f"other contents than undisturbed: {sorted(different)[:5]}")
        self._audit_shards(out, len(expected))

    def _audit_shards(self, out: str, total: int) -> None:
        listed = {
            address.rpartition("/")[2].removesuffix(".parquet")
            for address in list_files(f"{out}/listing", "*.parquet")
        }
        said = {}
        for address in list_files(out, "finished/*.json"):
            success = json.loads(read_bytes(address))
            said[success["shard"]] = success
            parts = list_files(f"{out}/data/shard={success['shard']}", "part-*.parquet")
            names = sorted(part.rpartition("/")[2] for part in parts)
            claimed = sorted(part["name"] for part in success["parts"])
            self.check(names == claimed, f"{address} names other parts")
        self.check(said.keys() == listed, f"finished {sorted(said)} of shards {sorted(listed)}")
        rows = sum(success["rows"] for success in said.values())
        self.check(rows == total, f"finished shards say {rows} rows instead of {total}")

    def resumed(self, before: set[str], seen: str) -> None:
        """Checks that nothing of what was written before was worked on again."""
        again = before & set(worked_on(seen))
        self.check(not again, f"{len(again)} rows were written and done again: {sorted(again)[:5]}")


def rows(out: str) -> Iterator[dict[str, Any]]:
    """All rows of all parts, repeats among them."""
    for address in list_files(out, "data/shard=*/part-*.parquet"):
        yield from pq.read_table(io.BytesIO(read_bytes(address))).to_pylist()


def written(out: str) -> set[str]:
    """Keys that stand in parts."""
    return {row["key"] for row in rows(out)}


def without(row: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """A row without some columns."""
    return {name: value for name, value in row.items() if name not in own}


def contents(out: str, own: Iterable[str] = OWN) -> Contents:
    """Rows by key, without some columns."""
    return {row["key"]: without(row, own) for row in rows(out)}


def worked_on(seen: str) -> list[str]:
    """Keys that a job's witness has written down so far."""
    file = Path(seen)
    return file.read_text().splitlines() if file.exists() else []


@cache
def undisturbed(rows: int) -> Contents:
    """What a job of so many rows makes where nothing happens to it."""
    with TemporaryDirectory() as folder:
        job = Job(f"{folder}/run", f"{folder}/seen", rows, engine="local", seconds=0.0)
        job.do()
        return contents(job.out)
