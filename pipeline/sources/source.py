"""Where the images are: folders, globs, Parquet, WebDataset tars, on any fsspec URL.

A source is cut into shards, each a bounded piece that is read on its own
(`pipeline.sources.shard`). Loose images are listed once and the listing is cut by hash of the
key; a container file is a shard.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.files import info, open_input
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES
from pipeline.sources.listing import Spool
from pipeline.sources.sequences import as_sequences
from pipeline.sources.shard import Columns, Kind, Shard, choose_columns

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
    """

    url: str
    kind: str
    shards: tuple[Shard, ...]
    rows: int | None
    ignored: dict[str, int]

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
    """

    url: str
    kind: str
    containers: tuple[Shard, ...]
    spool: Spool
    ignored: dict[str, int]

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
        return Source(self.url, self.kind, (*loose, *self.containers), self.rows, self.ignored)


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
        url: folder (searched recursively), file or glob; local path or any fsspec URL.
        out: run folder; what lies below it is no input.
        columns: for Parquet.
        sequences: the images of each folder are one row, the frames of a sequence.

    Raises:
        SourceError: it does not exist, holds nothing usable, or holds several kinds of things.
    """
    found = _Found()
    with Spool(("key", "uri", "frame_uris")) as spool:
        images = found.loose_images(url, out)
        spool.add(as_sequences(images) if sequences else images)
        kind = found.only_kind(url, spool.rows)
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            containers = sorted(found.containers)
            shards = tuple(pool.map(lambda each: _container(each, columns), containers))
        if kind == "parquet":
            _check_columns(shards[0], columns)
        listed = Listed(url, kind, shards, spool, dict(found.ignored))
        if listed.rows == 0:
            raise SourceError(f"{url} has no rows")
        yield listed


class _Found:
    """What a walk over the source comes upon."""

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.containers: list[tuple[Kind, str, str]] = []

    def loose_images(self, url: str, out: str) -> Iterator[Row]:
        """Rows of the loose images; the rest is noted. What a run wrote below OUT is no input."""
        own = f"{_path(out)}/"
        for name, address, folder in iterate_files(url):
            if _path(address).startswith(own):
                continue
            suffix = PurePosixPath(name).suffix.lower()
            kind = _kind_of(suffix)
            if folder and kind != "images":
                # A folder named like an image is a row, which fails: the user should know of it.
                continue
            if kind == "images":
                yield _picture_row(name, address)
            elif kind is None:
                self.ignored[suffix or "no suffix"] += 1
            else:
                self.containers.append((kind, name, address))

    def only_kind(self, url: str, images: int) -> str:
        """What the source is.

        Raises:
            SourceError: it is nothing, or several things.
        """
        counts = Counter(kind for kind, _, _ in self.containers)
        present: dict[str, int] = {str(kind): count for kind, count in counts.items()}
        if images:
            present = {"images": images, **present}
        if not present:
            hint = ", ".join(f"{n} {suffix}" for suffix, n in self.ignored.most_common(5))
            raise SourceError(
                f"no image matched {url} ({'found only ' + hint if hint else 'it is empty'}); "
                f"give a folder, glob or URL of images, .parquet or .tar files"
            )
        if len(present) > 1:
            listed = ", ".join(f"{count} {kind}" for kind, count in present.items())
            raise SourceError(
                f"{url} mixes {listed} files; name one kind with a glob, '{url}/**/*.jpg'"
            )
        return next(iter(present))


def _path(url: str) -> str:
    """For comparing places: absolute where it is on a disk."""
    protocol, sign, path = url.rpartition("://")
    return url if sign and protocol != "file" else os.path.abspath(path)  # noqa: PTH100


def _picture_row(key: str, uri: str) -> Row:
    try:
        uri.encode()
    except UnicodeEncodeError:
        printable = {
            name: text.encode("utf-8", "backslashreplace").decode()
            for name, text in (("key", key), ("uri", uri))
        }
        error = SourceError("the file name is not valid UTF-8; rename the file")
        return failed(printable, "read", error)
    return {"key": key, "uri": uri}


def _kind_of(suffix: str) -> Any:  # noqa: ANN401
    if suffix in IMAGE_SUFFIXES:
        return "images"
    if suffix in (".parquet", ".pq"):
        return "parquet"
    return "webdataset" if suffix in (".tar", ".tgz") else None


def _container(found: tuple[Kind, str, str], columns: Columns) -> Shard:
    kind, name, file = found
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in PurePosixPath(name).stem)[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    about = info(file) or {}
    version = next((about[k] for k in ("ETag", "etag", "mtime", "LastModified") if k in about), "")
    return Shard(
        id=f"{stem}-{digest}",
        kind=kind,
        address=file,
        name=name,
        rows=_parquet_rows(file) if kind == "parquet" else None,
        fingerprint=f"{about.get('size')}-{version}".replace('"', ""),
        columns=columns,
    )


def _parquet_rows(file: str) -> int | None:
    """Rows by the footer; None if it cannot be read, which the shard's own row will say."""
    try:
        with open_input(file) as handle:
            rows: int = pq.ParquetFile(handle).metadata.num_rows
    except (OSError, pa.ArrowInvalid):
        return None
    return rows


def _check_columns(shard: Shard, columns: Columns) -> None:
    if shard.rows is None:
        return
    with open_input(shard.address) as handle:
        choose_columns(pq.ParquetFile(handle).schema_arrow, columns, shard.address)
