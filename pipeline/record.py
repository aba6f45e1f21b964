"""What a run did, added up while it runs: rows, seconds and bytes for each stage.

Kept for the whole run rather than on the rows, so that rows that fail or are tried twice are
counted with the work they cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass
class StageRecord:
    """Sums over the batches of one stage.

    Attributes:
        rows: handed on.
        seconds: spent by its workers, added up over all of them.
        row_bytes: Arrow bytes handed on, without the encoded pictures.
        image_bytes: bytes of the encoded pictures handed on.
    """

    rows: int = 0
    seconds: float = 0.0
    row_bytes: int = 0
    image_bytes: int = 0


class Recorder(Protocol):
    """What workers and the driver need of a record, wherever it is kept."""

    def shard_read(self, shard: str, rows: int) -> None:
        """Notes how many rows a shard had; said again (by a repeated task), it counts once."""

    def rows_read(self) -> int:
        """Rows of all shards that were read to their end."""

    def add(self, stage: str, rows: int, seconds: float, row_bytes: int, image_bytes: int) -> None:
        """Adds one batch."""

    def rows(self, stage: str) -> int:
        """Rows that a stage has handed on so far."""

    def summary(self) -> list[dict[str, Any]]:
        """For each stage its rows, seconds, and bytes per row with and without the picture."""


class RunRecord:
    """Adds up batches by stage; a Ray run keeps one in an actor of its own."""

    def __init__(self) -> None:
        self._stages: dict[str, StageRecord] = {}
        self._shards: dict[str, int] = {}

    def shard_read(self, shard: str, rows: int) -> None:
        """Notes how many rows a shard had; said again (by a repeated task), it counts once."""
        self._shards[shard] = rows

    def rows_read(self) -> int:
        """Rows of all shards that were read to their end."""
        return sum(self._shards.values())

    def add(self, stage: str, rows: int, seconds: float, row_bytes: int, image_bytes: int) -> None:
        """Adds one batch."""
        sums = self._stages.setdefault(stage, StageRecord())
        sums.rows += rows
        sums.seconds += seconds
        sums.row_bytes += row_bytes
        sums.image_bytes += image_bytes

    def rows(self, stage: str) -> int:
        """Rows that a stage has handed on so far."""
        return self._stages.get(stage, StageRecord()).rows

    def summary(self) -> list[dict[str, Any]]:
        """For each stage its rows, seconds, and bytes per row with and without the picture."""
        return [
            {
                "stage": stage,
                "rows": sums.rows,
                "seconds": round(sums.seconds, 3),
                "bytes_per_row": round(sums.row_bytes / max(1, sums.rows), 1),
                "image_bytes_per_row": round(sums.image_bytes / max(1, sums.rows), 1),
            }
            for stage, sums in self._stages.items()
        ]
