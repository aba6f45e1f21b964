"""Where the pictures are: folders, globs, Parquet, WebDataset tars, on any fsspec URL.

A source is cut into *shards*, each a bounded piece of the input that is read on its own and gives
its name to the output shard. Reading a shard yields rows (key, shard, uri, maybe image_bytes);
whatever is wrong with one file or row becomes a failed row, so that nothing is lost silently.
"""

from __future__ import annotations

import hashlib
import math
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.images import IMAGE_SUFFIXES
from ipseg.rows import Row, failed
from ipseg.storage import filesystem, parquet_uri, picture_bytes, tar_uri

Kind = Literal["images", "parquet", "webdataset"]
ROWS_PER_SHARD = 4096
PARQUET_BATCH = 32  # rows decoded at a time: encoded pictures are large
KEY_COLUMNS = ("key", "__key__", "image_id", "id", "file_name")
BYTES_COLUMNS = ("image", "image_bytes", "bytes", "jpg", "jpeg", "png")
PATH_COLUMNS = ("path", "uri", "url", "image_path", "file_name")


@dataclass(frozen=True)
class Columns:
    """Which columns of a Parquet source to use; None looks for the usual names.

    Attributes:
        key: column with a unique id; without one, keys are `FILE#ROW`.
        image: column with encoded pictures, or with their paths or URLs.
    """

    key: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Shard:
    """One piece of a source.

    Attributes:
        id: stable name, safe as a file name.
        kind: how to read it.
        items: (key, address) of each picture, or of the one container file.
        columns: for Parquet.
    """

    id: str
    kind: Kind
    items: tuple[tuple[str, str], ...] = field(repr=False)
    columns: Columns = Columns()

    def read(self) -> Iterator[Row]:
        """The shard's rows. A container that breaks half way ends in one failed row."""
        if self.kind == "images":
            for key, uri in self.items:
                yield _picture_row(key, self.id, uri)
            return
        name, file = self.items[0]
        rows = self._parquet(name, file) if self.kind == "parquet" else self._tar(name, file)
        try:
            yield from rows
        except (OSError, pa.ArrowInvalid, tarfile.TarError, SourceError, EOFError) as error:
            yield failed({"key": name, "shard": self.id, "uri": file}, "read", error)

    def _parquet(self, name: str, file: str) -> Iterator[Row]:
        with fsspec.open(file, "rb") as handle:
            parquet = pq.ParquetFile(handle)
            key_column, image_column = choose_columns(parquet.schema_arrow, self.columns, file)
            wanted = [c for c in (key_column, image_column) if c is not None]
            position = 0
            for batch in parquet.iter_batches(PARQUET_BATCH, columns=wanted):
                for record in batch.to_pylist():
                    key = None if key_column is None else record[key_column]
                    row: Row = {
                        "key": f"{name}#{position}" if key is None else str(key),
                        "shard": self.id,
                    }
                    yield row | _parquet_picture(record[image_column], file, position, image_column)
                    position += 1

    def _tar(self, name: str, file: str) -> Iterator[Row]:
        last = None
        with fsspec.open(file, "rb") as handle, tarfile.open(fileobj=handle, mode="r|*") as tar:
            for member in tar:
                folder, _, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                if not member.isfile() or f".{extension.lower()}" not in IMAGE_SUFFIXES or not stem:
                    continue
                sample = f"{folder}/{stem}" if folder else stem
                if sample == last:  # a sample may hold its picture in several formats
                    continue
                last = sample
                content = tar.extractfile(member)
                yield {
                    "key": f"{name}/{sample}",
                    "shard": self.id,
                    "uri": tar_uri(file, member.name),
                    "image_bytes": content.read() if content is not None else b"",
                }


@dataclass(frozen=True)
class Source:
    """A collection of pictures, listed but not yet read.

    Attributes:
        url: as the user gave it.
        kind: what it was found to be.
        shards: at least one, in order.
        rows: number of pictures, where the listing tells; None if only reading would.
        ignored: files that are no pictures, counted by suffix.
    """

    url: str
    kind: Kind
    shards: tuple[Shard, ...]
    rows: int | None
    ignored: dict[str, int]

    def read(self) -> Iterator[Row]:
        """All rows, shard after shard."""
        for shard in self.shards:
            yield from shard.read()


def open_source(url: str, columns: Columns = Columns()) -> Source:
    """Lists a source and finds out what it is.

    Args:
        url: folder (searched recursively), file or glob; local path or any fsspec URL.
        columns: for Parquet.

    Raises:
        SourceError: it does not exist, holds nothing usable, or holds several kinds of things.
    """
    fs, path = filesystem(url)
    found = _listing(fs, path, url)
    kinds: dict[Kind, list[tuple[str, str]]] = {"images": [], "parquet": [], "webdataset": []}
    ignored: Counter[str] = Counter()
    for name, full in found:
        suffix = PurePosixPath(name).suffix.lower()
        kind = _kind_of(suffix)
        if kind is None:
            ignored[suffix or "no suffix"] += 1
        else:
            kinds[kind].append((name, fs.unstrip_protocol(full) if "://" in url else full))
    present = [kind for kind, items in kinds.items() if items]
    if not present:
        hint = ", ".join(f"{n} {suffix}" for suffix, n in ignored.most_common(5))
        raise SourceError(
            f"no image matched {url} ({'found only ' + hint if hint else 'it is empty'}); "
            f"give a folder, glob or URL of pictures, .parquet or .tar files"
        )
    if len(present) > 1:
        counts = ", ".join(f"{len(kinds[kind])} {kind}" for kind in present)
        raise SourceError(
            f"{url} mixes {counts} files; name one kind with a glob, '{url}/**/*.jpg'"
        )
    kind = present[0]
    items = kinds[kind]
    if kind == "images":
        return Source(url, kind, _buckets(items), len(items), dict(ignored))
    shards = tuple(_container_shard(kind, name, file, columns) for name, file in items)
    rows = _count_parquet_rows(items, columns) if kind == "parquet" else None
    return Source(url, kind, shards, rows, dict(ignored))


def choose_columns(schema: pa.Schema, columns: Columns, file: str) -> tuple[str | None, str]:
    """(key column or None, image column) of a Parquet file.

    Raises:
        SourceError: a named column is missing, or no column looks like pictures or paths.
    """
    for name in (columns.key, columns.image):
        if name is not None and name not in schema.names:
            raise SourceError(f"{file} has no column '{name}'; it has {', '.join(schema.names)}")
    key = columns.key or next((c for c in KEY_COLUMNS if c in schema.names), None)
    if columns.image is not None:
        return key, columns.image
    for names, fits in ((BYTES_COLUMNS, _holds_bytes), (PATH_COLUMNS, _holds_text)):
        for name in names:
            if name in schema.names and fits(schema.field(name).type):
                return key, name
    raise SourceError(
        f"{file} has no column that looks like pictures or paths (it has "
        f"{', '.join(schema.names)}); name one with --image-column"
    )


def _picture_row(key: str, shard: str, uri: str) -> Row:
    try:
        uri.encode()
    except UnicodeEncodeError:
        shown = {
            name: text.encode("utf-8", "backslashreplace").decode()
            for name, text in (("key", key), ("uri", uri))
        }
        error = SourceError("the file name is not valid UTF-8; rename the file")
        return failed({**shown, "shard": shard}, "read", error)
    return {"key": key, "shard": shard, "uri": uri}


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _parquet_picture(cell: Any, file: str, position: int, column: str) -> Row:  # noqa: ANN401
    path = cell.get("path") if isinstance(cell, dict) and cell.get("bytes") is None else cell
    if isinstance(path, str):
        absolute = "://" in path or path.startswith("/")
        return {"uri": path if absolute else f"{file.rpartition('/')[0] or '.'}/{path}"}
    uri = parquet_uri(file, position, column)
    data = picture_bytes(cell)
    if data is None:
        missing = SourceError(f"row {position} has neither bytes nor a path in column '{column}'")
        return failed({"uri": uri}, "read", missing)
    return {"uri": uri, "image_bytes": data}


def _kind_of(suffix: str) -> Kind | None:
    if suffix in IMAGE_SUFFIXES:
        return "images"
    if suffix in (".parquet", ".pq"):
        return "parquet"
    return "webdataset" if suffix in (".tar", ".tgz") else None


def _listing(fs: Any, path: str, url: str) -> list[tuple[str, str]]:  # noqa: ANN401
    """(name relative to the source, full path), sorted; names that begin with a dot are left out.

    A folder named like a picture is listed too: the user should hear that it is none.
    """
    if fs.exists(path):
        if not fs.isdir(path):
            return [(path.rpartition("/")[2], path)]
        root = path.rstrip("/")
        found = fs.find(root, withdirs=True, detail=True)
    else:
        if not any(sign in path for sign in "*?["):
            raise SourceError(f"{url} does not exist")
        found = fs.glob(path, detail=True)
        fixed = path[: min(path.index(sign) for sign in "*?[" if sign in path)]
        root = fixed.rpartition("/")[0]
    listing = []
    for full, info in found.items():
        name = full[len(root) :].lstrip("/") if full.startswith(root) else full
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        folder = info.get("type") == "directory"
        if not name or hidden:
            continue
        if folder and _kind_of(PurePosixPath(name).suffix.lower()) != "images":
            continue
        listing.append((name, full))
    return sorted(listing)


def _buckets(items: Sequence[tuple[str, str]]) -> tuple[Shard, ...]:
    """Shards by hash of the key, so that a picture keeps its shard when others are added."""
    count = 2 ** max(0, math.ceil(math.log2(len(items) / ROWS_PER_SHARD)))
    buckets: dict[int, list[tuple[str, str]]] = {}
    for key, uri in items:
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        buckets.setdefault(int.from_bytes(digest[:8]) % count, []).append((key, uri))
    return tuple(
        Shard(f"{index:05d}-of-{count:05d}", "images", tuple(bucket))
        for index, bucket in sorted(buckets.items())
    )


def _container_shard(kind: Kind, name: str, file: str, columns: Columns) -> Shard:
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in PurePosixPath(name).stem)[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return Shard(f"{stem}-{digest}", kind, ((name, file),), columns)


def _count_parquet_rows(items: Sequence[tuple[str, str]], columns: Columns) -> int | None:
    """Rows by the files' footers; None if one cannot be read. The first must have the columns."""
    total = 0
    for index, (_, file) in enumerate(items):
        try:
            with fsspec.open(file, "rb") as handle:
                parquet = pq.ParquetFile(handle)
                total += parquet.metadata.num_rows
                schema = parquet.schema_arrow
        except (OSError, pa.ArrowInvalid):
            return None
        if index == 0:
            choose_columns(schema, columns, file)
    return total
