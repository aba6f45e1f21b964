"""Where the images are: folders, globs, lists, Parquet, WebDataset tars, on any fsspec URL.

A source is cut into shards, each a bounded piece that is read on its own
(`pipeline.sources.shard`). Loose images are listed once and the listing is cut by hash of the
key; a container file is a shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.rows import Row
from ipseg.storage.files import info, open_input
from ipseg.storage.stamps import version_of
from pipeline.sources.carry import Types, carried_types
from pipeline.sources.found import ContainerKind, Found
from pipeline.sources.listing import Spool
from pipeline.sources.parquet import UNREADABLE, Columns, choose_image, choose_key
from pipeline.sources.sequences import as_sequences
from pipeline.sources.shard import Shard, with_valid_names

_FOOTERS_AT_ONCE = 16


@dataclass(frozen=True)
class Source:
    """A collection of images, cut into shards, not yet read.

    Attributes:
        url: as the user gave it.
        kind: "images" (loose files), "parquet" or "webdataset".
        shards: at least one, in order.
        rows: number of images, where the listing has it; None if only reading would.
        ignored: files that are no images, counted by suffix.
        carried: type of each column that goes along to the output.
    """

    url: str
    kind: str
    shards: tuple[Shard, ...]
    rows: int | None
    ignored: dict[str, int]
    carried: Types = field(default_factory=dict)

    def read(self) -> Iterator[Row]:
        """All rows, shard after shard."""
        for shard in self.shards:
            yield from shard.read()


@dataclass(frozen=True)
class Listed:
    """A collection that was looked through.

    Attributes:
        url: as the user gave it.
        kind: as `Source.kind`.
        containers: shards of container files.
        spool: loose images.
        ignored: as `Source.ignored`.
        carried: as `Source.carried`.
    """

    url: str
    kind: str
    containers: tuple[Shard, ...]
    spool: Spool
    ignored: dict[str, int]
    carried: Types = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """As `Source.rows`."""
        if self.kind == "images":
            return self.spool.rows
        counts = [shard.rows for shard in self.containers]
        return None if None in counts else sum(n for n in counts if n is not None)

    def write(self, out: str, shards: int | None = None) -> Source:
        """The source in shards; the listing of loose images is written below OUT.

        Args:
            out: run folder.
            shards: number of shards for loose images; None chooses.
        """
        loose = self.spool.write(out, shards) if self.kind == "images" else ()
        shards_ = (*loose, *self.containers)
        return Source(self.url, self.kind, shards_, self.rows, self.ignored, self.carried)


@contextmanager
def list_source(
    url: str,
    out: str,
    columns: Columns = Columns(),  # noqa: B008  (frozen)
    *,
    sequences: bool = False,
) -> Iterator[Listed]:
    """Lists a source and finds out what it is; writes nothing to OUT yet.

    Args:
        url: folder (searched recursively), file, glob, or list of images (CSV, TSV, JSON lines,
            text); local path or any fsspec URL.
        out: run folder; what lies below it is no input.
        columns: for Parquet, tars and lists.
        sequences: the images of each folder are one row, the frames of a sequence; so is a video.

    Raises:
        SourceError: it does not exist, holds nothing usable, or holds several kinds of things.
    """
    found = Found(url, out, sequences=sequences)
    with Spool(("key", "uri", "version", "frame_uris", "carried")) as spool:
        images = map(with_valid_names, found.images(columns))
        spool.add(as_sequences(images) if sequences else images)
        kind = found.only_kind(spool.rows)
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            containers = sorted(found.containers)
            shards = tuple(pool.map(lambda each: _container(each, columns), containers))
        schemas = _check_columns(shards, columns) if kind == "parquet" else []
        carried = _carried(url, kind, schemas, columns, listed=found.is_list)
        listed = Listed(url, kind, shards, spool, dict(found.ignored), carried)
        if listed.rows == 0:
            raise SourceError(f"{url} has no rows")
        yield listed


def _container(found: tuple[ContainerKind, str, str], columns: Columns) -> Shard:
    kind, name, file = found
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in PurePosixPath(name).stem)[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return Shard(
        id=f"{stem}-{digest}",
        kind=kind,
        address=file,
        name=name,
        rows=_parquet_rows(file) if kind == "parquet" else None,
        fingerprint=version_of(info(file) or {}),
        columns=columns,
    )


def _parquet_rows(file: str) -> int | None:
    """Rows by the footer; None if it cannot be read, which the shard's own row will say."""
    try:
        with open_input(file) as handle:
            rows: int = pq.ParquetFile(handle).metadata.num_rows
    except UNREADABLE:
        return None
    return rows


def _carried(
    url: str, kind: str, schemas: Sequence[pa.Schema], columns: Columns, *, listed: bool
) -> Types:
    if not columns.carry:
        return {}
    if kind == "parquet":
        return carried_types(schemas, columns.carry, url)
    if listed:
        return dict.fromkeys(columns.carry, pa.string())
    raise SourceError(f"--carry takes columns of Parquet files and lists; {url} has none")


def _check_columns(shards: Sequence[Shard], columns: Columns) -> list[pa.Schema]:
    """Refuses a source of which no file has usable columns; some may be damaged or have no rows.

    Returns the schemas that were looked at: the first usable one, or all where columns are carried.
    """
    refused, usable = None, False
    schemas: list[pa.Schema] = []
    for shard in shards:
        if not shard.rows:
            continue
        with open_input(shard.address) as handle:
            schema = pq.ParquetFile(handle).schema_arrow
        schemas.append(schema)
        try:
            choose_key(schema, columns, shard.address)
            choose_image(schema, columns, shard.address)
        except SourceError as error:
            refused = refused or error
            continue
        usable = True
        if not columns.carry:
            break
    if refused is not None and not usable:
        raise refused
    return schemas
