"""What a run did, kept for the whole run rather than on the rows.

Rows that fail or are tried twice are counted with the work they cost, and what a worker was doing
when it died is known. The record lives in the driver's process, or in a Ray actor beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ipseg.costs import Cost, Key
from pipeline.runfolder.status import GONE


@dataclass(frozen=True)
class FailureBudget:
    """How many rows may fail before a run is stopped.

    Attributes:
        rate: share of the rows in [0, 1].
        least: failed rows below which a run goes on whatever their share: a handful of bad files
            in a small folder is no reason to stop.
    """

    rate: float = 0.05
    least: int = 100

    @staticmethod
    def of(rate: float | None) -> FailureBudget:
        """The default, or what somebody asked for, which then holds for small runs, too."""
        return FailureBudget() if rate is None else FailureBudget(rate, least=1)

    def spent(self, failed: int, rows: int, *, ended: bool = False) -> bool:
        """Whether so many failed rows are too many.

        Args:
            failed: rows so far.
            rows: so far.
            ended: no more will come; before, nothing is decided by so few rows that a single one
                would be too many.
        """
        decisive = ended or self.rate * rows >= 1 or self.rate == 0
        return decisive and failed >= self.least and failed > self.rate * rows


@dataclass
class StageRecord:
    """Sums over the batches of one stage.

    Attributes:
        rows: handed on.
        failed: of these, failed here or before.
        seconds: spent by its workers, added up over all of them.
        row_bytes: Arrow bytes handed on, without the encoded images.
        image_bytes: bytes of the encoded images handed on.
    """

    rows: int = 0
    failed: int = 0
    seconds: float = 0.0
    row_bytes: int = 0
    image_bytes: int = 0


@dataclass
class ShardRecord:
    """How far one shard is.

    Attributes:
        rows: of the source; None until it was read to its end.
        fingerprint: of the source.
        done: rows that an earlier run had finished, by status.
        parts: rows by status of each part this run wrote.
        finished: the shard's success file is written.
    """

    rows: int | None = None
    fingerprint: str = ""
    done: Counter[str] = field(default_factory=Counter)
    parts: dict[str, Counter[str]] = field(default_factory=dict)
    finished: bool = False

    @property
    def counts(self) -> Counter[str]:
        """Rows by status that are in the output."""
        return sum(self.parts.values(), Counter(self.done))

    @property
    def ready(self) -> bool:
        """Whether all its rows are written, but it has no success file yet."""
        return self.rows is not None and not self.finished and self.counts.total() >= self.rows


class RunRecord:
    """What workers and the driver note; grows with shards and rows at work, not with all keys."""

    def __init__(self, budget: FailureBudget) -> None:
        self._budget = budget
        self._stages: dict[str, StageRecord] = {}
        self._shards: dict[str, ShardRecord] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._costs: dict[Key, Cost] = {}

    def shard_read(
        self, shard: str, rows: int, done: Mapping[str, int], fingerprint: str
    ) -> tuple[int, str] | None:
        """Notes a shard that was read to its end; said again (by a repeated task), it counts once.

        Args:
            shard: its id.
            rows: of the source.
            done: of these, what an earlier run had finished, by status.
            fingerprint: of the source.

        Returns:
            (rows, fingerprint) if the shard is to be finished now, else None.
        """
        record = self._shards.setdefault(shard, ShardRecord())
        record.rows, record.done, record.fingerprint = rows, Counter(done), fingerprint
        return (rows, fingerprint) if record.ready else None

    def part_written(
        self, shard: str, part: str, counts: Mapping[str, int]
    ) -> tuple[int, str] | None:
        """Notes a part; the same part again counts once. Returns as `shard_read`."""
        record = self._shards.setdefault(shard, ShardRecord())
        if not record.finished:  # later it can only be a repeat, as after a machine was lost
            record.parts[part] = Counter(counts)
        return (record.rows or 0, record.fingerprint) if record.ready else None

    def shard_finished(self, shard: str) -> None:
        """Notes that the shard's success file is written."""
        record = self._shards[shard]
        record.finished = True
        record.parts = {"": sum(record.parts.values(), Counter())}

    def begin(self, stage: str, keys: Sequence[str]) -> list[int]:
        """Notes that a worker starts on rows, unless one of them has ended a worker before.

        Returns:
            For each row, how many workers have crashed while they worked on it. If any has, nothing
            is noted: the caller goes on row by row with `begin_one`.
        """
        crashes = [self._begun.get((stage, key), 0) for key in keys]
        if not any(crashes):
            self._begun.update({(stage, key): 1 for key in keys})
        return crashes

    def begin_one(self, stage: str, key: str) -> None:
        """Notes that a worker starts on one row that is under suspicion."""
        self._begun[stage, key] = self._begun.get((stage, key), 0) + 1

    def end_one(self, stage: str, key: str) -> None:
        """Notes that a row under suspicion did its worker no harm."""
        self._begun.pop((stage, key), None)

    def end(
        self,
        stage: str,
        keys: Sequence[str],
        failed: int,
        seconds: float,
        sizes: tuple[int, int],
        costs: Mapping[Key, Cost] = MappingProxyType({}),
    ) -> str | None:
        """Adds a finished batch.

        Args:
            stage: its name.
            keys: of its rows.
            failed: of these.
            seconds: that a worker spent.
            sizes: bytes handed on without images, and of images.
            costs: of its steps, one by one.

        Returns:
            Why the run must stop, None if it may go on.
        """
        for key in keys:
            self._begun.pop((stage, key), None)
        sums = self._stages.setdefault(stage, StageRecord())
        sums.rows += len(keys)
        sums.failed += failed
        sums.seconds += seconds
        sums.row_bytes += sizes[0]
        sums.image_bytes += sizes[1]
        for step, cost in costs.items():
            self._costs.setdefault(step, Cost()).add(cost)
        if not self._budget.spent(sums.failed, sums.rows):
            return None
        return (
            f"{sums.failed} of {sums.rows} rows failed, more than the "
            f"{self._budget.rate:.1%} that may"
        )

    def summary(self) -> list[dict[str, Any]]:
        """For each stage its rows, seconds, and bytes per row with and without the image."""
        return [
            {
                "stage": stage,
                "rows": sums.rows,
                "failed": sums.failed,
                "seconds": round(sums.seconds, 3),
                "bytes_per_row": round(sums.row_bytes / max(1, sums.rows), 1),
                "image_bytes_per_row": round(sums.image_bytes / max(1, sums.rows), 1),
            }
            for stage, sums in self._stages.items()
        ]

    def costs(self) -> dict[Key, Cost]:
        """Of each step."""
        return self._costs

    def progress(self) -> dict[str, Any]:
        """Rows that were read, in the output by status, and done before this run.

        Those whose images are gone are read and in the output, but not done before: they are no
        rows of the source.
        """
        records = self._shards.values()
        return {
            "read": sum(record.rows or 0 for record in records),
            "counts": dict(sum((record.counts for record in records), Counter())),
            "before": sum(record.done.total() - record.done[GONE] for record in records),
        }

    def unfinished(self) -> list[tuple[str, int, str]]:
        """(shard, rows, fingerprint) of each shard that is ready but has no success file."""
        return [
            (shard, record.rows or 0, record.fingerprint)
            for shard, record in self._shards.items()
            if record.ready
        ]

    def half_done(self) -> list[str]:
        """Shards of which this run has written rows, but no success file."""
        return [name for name, each in self._shards.items() if each.parts and not each.finished]

    def at_work(self) -> list[str]:
        """What workers have begun and not ended, as `stage: key`, a few at most."""
        return [f"{stage}: {key}" for stage, key in list(self._begun)[:5]]
