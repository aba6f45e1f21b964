"""Where Ray's reading tasks get rows from, and what its writing tasks do with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import pyarrow as pa
from ray.data import DataContext
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasink, Datasource, ReadTask

from ipseg.columns import from_table, to_table
from pipeline.engines.shard_io import ShardIO
from pipeline.sources.shard import Shard

READ_ROWS = 32  # rows in one block of a read task; encoded images are large


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


class PartSink(Datasink[None]):
    """Writes blocks as parts; a write that is repeated replaces its own parts."""

    def __init__(self, shard_io: ShardIO) -> None:
        self._io = shard_io

    @property
    def min_rows_per_write(self) -> int:
        """Rows in one part."""
        return self._io.part_rows

    def write(self, blocks: Iterable[pa.Table], ctx: object) -> None:
        """Writes the rows of these blocks."""
        self._io.write([row for block in blocks for row in from_table(block)])
