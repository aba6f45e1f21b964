"""From a shard of the source to a finished shard of the output, however often it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipseg.rows import Row
from pipeline.runfolder.ignored import write_ignored
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import ShardWriter
from pipeline.runfolder.unfinished import Unfinished
from pipeline.sources.shard import Shard
from pipeline.stages.record import RunRecord


@dataclass(frozen=True)
class ShardIO:
    """Reads what is left, writes what is done, and records both. Picklable.

    Attributes:
        ledger: what earlier runs have done.
        writer: of finished rows.
        record: of this run.
        part_rows: rows in one output file.
    """

    ledger: Ledger
    writer: ShardWriter
    record: RunRecord
    part_rows: int

    def unfinished_rows(self, shard: Shard) -> Iterator[Row]:
        """The rows of a shard that no earlier run has finished."""
        unfinished = Unfinished(shard, self.ledger)
        yield from unfinished
        write_ignored(self.ledger.out, shard.id, unfinished.ignored)
        self._finish(
            shard.id,
            self.record.shard_read(
                shard.id, unfinished.rows, dict(unfinished.before), shard.fingerprint
            ),
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Writes finished rows; a shard that is complete with them gets its success file."""
        for part in self.writer.write(rows):
            self._finish(
                part.shard, self.record.part_written(part.shard, part.name, dict(part.counts))
            )

    def finish(self) -> None:
        """Finishes shards whose worker was lost between its last part and the success file."""
        for shard, rows, fingerprint in self.record.unfinished():
            self._finish(shard, (rows, fingerprint))

    def put_in_order(self) -> None:
        """Removes rows that were done again from shards that stay unfinished."""
        for shard in self.record.half_done():
            self.ledger.put_in_order(shard)

    def _finish(self, shard: str, ready: tuple[int, str] | None) -> None:
        if ready is not None:
            self.ledger.finish_shard(shard, *ready)
            self.record.shard_finished(shard)
