"""What is left to do of a shard: rows that are not in its parts, and some that are.

Three kinds of finished rows are done again: those whose image was replaced, those of images that
were gone and are back as others, and, in part, those that lack concepts that were added to the
prompts: only these are looked for, and what was found of the others is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from ipseg.columns import from_table
from ipseg.errors import SourceError
from ipseg.rows import Row, is_failed
from ipseg.steps.decode import content_hash
from ipseg.storage.addresses import fetch
from pipeline.runfolder.finished import BROKEN, Finished
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.parts import read_batches
from pipeline.runfolder.sink import CROWDS, KEPT, OBJECTS
from pipeline.runfolder.status import GONE
from pipeline.sources.shard import Shard, key_hash

_PARTS_HELD = 4  # whose results are in memory while a shard is read


@dataclass
class Unfinished:
    """The rows of a shard that are to be done; iterating reads the shard, once.

    Attributes:
        shard: of the source.
        ledger: what earlier runs have done.
        rows: of the shard so far, those of images that are gone included.
        before: of these, those that earlier runs have finished, by status.
        ignored: what was left out of a container file.
    """

    shard: Shard
    ledger: Ledger
    rows: int = 0
    before: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    _stored: dict[str, dict[bytes, Row]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Row]:
        """Reads the shard; at its end rows are marked whose images are gone."""
        done = self.ledger.open_shard(self.shard.id)
        for row in self.shard.read(self.ignored):
            self.rows += 1
            finished, part = done.pop(key_hash(row["key"]), (None, ""))
            left = row if finished is None else self._left(row, finished, part)
            if left is not None:
                yield left
            elif finished is not None:
                self.before[finished.row_status] += 1
        self.ledger.mark_gone(self.shard.id, done)
        self.rows += len(done)
        self.before.update({GONE: len(done)} if done else {})

    def _left(self, row: Row, finished: Finished, part: str) -> Row | None:
        if self._changed(row, finished):
            return row
        lacks = self.ledger.missing.get(finished.run_id, ())
        if not lacks or finished.row_status in BROKEN:
            return None
        asks = [{"concept": concept, "frame": 0} for concept in lacks]
        return {**row, "asks": asks, **self._kept(part, finished.key_hash)}

    def _changed(self, row: Row, finished: Finished) -> bool:
        """Whether the image is another one than the row was made from."""
        if is_failed(row):
            return False
        data, known = row.get("image_bytes"), finished.content_hash
        if data is None:
            now, then = row.get("version"), finished.version
            if not self.ledger.check_content and (now is None or then is None or now == then):
                return False
            if known is None or row.get("asks"):  # the version is also that of ground truth
                return now != then
            try:
                data = fetch(row["uri"])  # its time may have changed alone
            except (OSError, SourceError):
                return True
        return known is not None and content_hash(data) != known

    def _kept(self, part: str, key: bytes) -> Row:
        if part not in self._stored:
            while len(self._stored) >= _PARTS_HELD:
                del self._stored[next(iter(self._stored))]
            self._stored[part] = _results(part)
        return self._stored[part][key]


def _results(part: str) -> dict[bytes, Row]:
    """Key hash -> objects, metrics and crowds of a row, as columns kept beside new ones."""
    rows: dict[bytes, Row] = {}
    for batch in read_batches(part, ["key_hash", *OBJECTS[:2]], optional=[CROWDS]):
        here = [name for name in KEPT if name in batch.schema.names]
        results = from_table(pa.Table.from_batches([batch.select(here)]))
        for key, record in zip(batch["key_hash"].to_pylist(), results, strict=True):
            rows[key] = {kept: record.get(name, []) for name, kept in KEPT.items()}
    return rows
