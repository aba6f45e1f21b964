"""How far a run is: rows done and left, shard by shard, speed, and keys that repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

STATUSES = ("ok", "empty", "failed", "poisoned", "gone")
# Of rows whose column `gone` is set: the image is no longer in the source, what was found in it is
# kept. Their row_status stays what it was.
GONE = STATUSES[-1]

State = Literal["finished", "running", "unknown", "stopped"]


@dataclass(frozen=True)
class ShardStatus:
    """One shard of the output.

    Attributes:
        shard: its id.
        expected: rows of the source, None as long as nobody has counted them.
        counts: rows by status, each key once.
        repeated: rows whose key an earlier row has too; None if not looked for.
        complete: all its rows are there, and it says so itself.
    """

    shard: str
    expected: int | None
    counts: Counter[str]
    repeated: int | None
    complete: bool

    @property
    def done(self) -> int:
        """Rows that are there, whatever their status, but for those of images that are gone."""
        return self.counts.total() - self.counts[GONE]


@dataclass(frozen=True)
class RunStatus:
    """A run folder as it was found.

    Attributes:
        out: its place.
        state: "running" and "stopped" as far as the run's lease and its last part tell; "unknown"
            where a run without a lease wrote a moment ago.
        run_id: of the newest start of the command, None without a manifest.
        starts: how often the command was started.
        started: of the newest start.
        finished: of the newest start, None if it has not come to its end.
        last_written: the newest part.
        rows_of_run: rows that the newest start has written.
        begun: when the newest start had prepared all, and began with the rows.
        measured: rows a second of the newest start by its own account; None before its end.
        recent: rows a second in the last minute in which parts were written; 0 for none.
        row_is: "image" or "sequence".
        shards: in order of their ids.
        repeated_across: keys that are in more than one shard; None if not looked for.
        ignored: files of the source that are no input, by suffix or reason.
        problems: files that cannot be read and what else is not as it should be, such as masks that
            no image has taken.
    """

    out: str
    state: State
    run_id: str | None
    starts: int
    started: datetime | None
    finished: datetime | None
    last_written: datetime | None
    rows_of_run: int
    begun: datetime | None
    measured: float | None
    recent: float
    row_is: str
    shards: tuple[ShardStatus, ...]
    repeated_across: int | None
    ignored: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def counts(self) -> Counter[str]:
        """Rows by status."""
        return sum((shard.counts for shard in self.shards), Counter[str]())

    @property
    def done(self) -> int:
        """Rows that are there, whatever their status."""
        return sum(shard.done for shard in self.shards)

    @property
    def exact(self) -> bool:
        """Whether `expected` is counted in every shard."""
        return all(shard.expected is not None for shard in self.shards)

    @property
    def expected(self) -> int | None:
        """Rows of the source; a shard not counted yet is taken to be as large as the others."""
        known = [shard.expected for shard in self.shards if shard.expected is not None]
        if not known:
            return None
        usual = round(sum(known) / len(known))
        unknown = (shard.done for shard in self.shards if shard.expected is None)
        return sum(known) + sum(max(usual, done) for done in unknown)

    @property
    def left(self) -> int | None:
        """Rows still to do, as sure as `expected`."""
        return None if self.expected is None else max(0, self.expected - self.done)

    @property
    def complete_shards(self) -> int:
        """How many shards are complete."""
        return sum(shard.complete for shard in self.shards)

    @property
    def repeated(self) -> int | None:
        """Rows whose key is there already, which should be none; None if not looked for."""
        if self.repeated_across is None:
            return None
        return self.repeated_across + sum(shard.repeated or 0 for shard in self.shards)

    @property
    def rows_per_second(self) -> float | None:
        """Of the newest start: its own account, or from its first row to its last part so far."""
        if self.measured is not None:
            return self.measured or None
        begun, end = self.begun or self.started, self.finished or self.last_written
        if begun is None or end is None or not self.rows_of_run:
            return None
        seconds = (end - begun).total_seconds()
        return self.rows_of_run / seconds if seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Time for what is left at the recent speed; None where nothing may be going on."""
        if self.state == "stopped" or self.left is None:
            return None
        if not self.left:
            return 0.0
        pace = self.recent or self.rows_per_second
        return self.left / pace if pace else None
