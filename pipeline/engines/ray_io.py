"""Where Ray's reading tasks get rows from, and the tasks that write them as parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from ipseg.columns import from_table, to_table
from pipeline.engines.shard_io import ShardIO
from pipeline.sources.shard import Shard

READ_ROWS = 32  # rows in one block of a read task; encoded images are large
_WRITE_RETRIES = 10  # of a task whose worker or machine is lost


class ShardSource(Datasource):
    """One read task for each shard of a source."""

    def __init__(
        self, shards: Sequence[Shard], columns: tuple[str, ...], shard_io: ShardIO
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shards, self._columns, self._io = shards, columns, shard_io

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown before reading."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """One for each shard, whatever the parallelism: a shard is read in one go."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        schema = to_table([], self._columns).schema
        return [
            ReadTask(partial(_blocks, shard, self._columns, self._io), unknown, schema)
            for shard in self._shards
        ]


def _blocks(shard: Shard, columns: tuple[str, ...], shard_io: ShardIO) -> Iterator[pa.Table]:
    """What is left of a shard as Arrow blocks."""
    rows = shard_io.unfinished_rows(shard)
    while block := list(islice(rows, READ_ROWS)):
        yield to_table(block, columns)


class PartTasks:
    """Writes blocks as parts, in tasks beside those of Ray Data.

    A task that is started again, after a machine was lost, replaces its own parts. Blocks stay
    where they are: the driver holds references to them.
    """

    def __init__(self, shard_io: ShardIO, at_once: int) -> None:
        """Starts nothing yet.

        Args:
            shard_io: writes the rows.
            at_once: tasks that may be under way; one more waits for the first of them.
        """
        self._io = ray.put(shard_io)
        # They wait for storage most of the time, and must find room whatever the pools take.
        self._task: Any = ray.remote(num_cpus=0, max_retries=_WRITE_RETRIES)(_write)
        self._at_once = at_once
        self._begun: list[ray.ObjectRef[None]] = []

    def write(self, blocks: Sequence[ray.ObjectRef[pa.Table]]) -> None:
        """Begins to write blocks as one part, or as one for each shard among their rows.

        Raises:
            RayError: an earlier task has failed.
        """
        if len(self._begun) >= self._at_once:
            done, self._begun = ray.wait(self._begun)
            ray.get(done)
        self._begun.append(self._task.options(name="Write").remote(self._io, *blocks))

    def settle(self, seconds: float | None) -> None:
        """Waits until everything is written.

        Args:
            seconds: to wait at most; None for as long as it takes.

        Raises:
            RayError: a task has failed, or the time is over.
        """
        ray.get(self._begun, timeout=seconds)


def _write(shard_io: ShardIO, *blocks: pa.Table) -> None:
    shard_io.write([row for block in blocks for row in from_table(block)])
