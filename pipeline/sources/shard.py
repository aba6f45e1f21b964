"""One piece of a source, read on its own; its name is that of the output shard.

Reading yields one row (key, shard, uri, maybe image_bytes) for each image. Whatever is wrong with
one file or row becomes a failed row, so that nothing is lost silently. A shard read twice yields
the same rows in the same order: Ray reads again what was lost with a machine.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.columns import from_table
from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.addresses import cell_bytes, parquet_uri, tar_uri
from ipseg.storage.files import open_input
from ipseg.vision.images import IMAGE_SUFFIXES

Kind = Literal["listed", "parquet", "webdataset"]
PARQUET_BATCH = 32  # rows decoded at a time: encoded images are large
KEY_COLUMNS = ("key", "__key__", "image_id", "id", "file_name")
BYTES_COLUMNS = ("image", "image_bytes", "bytes", "jpg", "jpeg", "png")
PATH_COLUMNS = ("path", "uri", "url", "image_path", "file_name")


class RepeatedKeyError(SourceError):
    """A key that a row before it in the same file has already; keys must be unique."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a Parquet source to use; None looks for the usual names.

    Attributes:
        key: column with a unique id; without one, keys are `FILE#ROW`.
        image: column with encoded images, or with their paths or URLs.
    """

    key: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Shard:
    """One piece of a source.

    Attributes:
        id: stable name, safe as a file name.
        kind: "listed" is a Parquet file of rows that `pipeline.sources.listing` wrote.
        address: of the listing or the container file.
        name: of the container within the source; keys begin with it. "" for a listing.
        rows: images in it, None if only reading would say.
        fingerprint: changes when rows may have been added.
        columns: for Parquet.
    """

    id: str
    kind: Kind
    address: str
    name: str = ""
    rows: int | None = None
    fingerprint: str = ""
    columns: Columns = Columns()

    def read(self) -> Iterator[Row]:
        """The shard's rows, keys unique. A container that breaks half way ends in a failed row."""
        if self.kind == "listed":
            yield from self._listed()
            return
        rows = self._parquet() if self.kind == "parquet" else self._tar()
        try:
            yield from self._unique(rows)
        except (OSError, pa.ArrowInvalid, tarfile.TarError, SourceError, EOFError) as error:
            yield failed({"key": self.name, "shard": self.id, "uri": self.address}, "read", error)

    def _listed(self) -> Iterator[Row]:
        with open_input(self.address) as handle:
            for batch in pq.ParquetFile(handle).iter_batches(1024):
                for row in from_table(pa.Table.from_batches([batch])):
                    yield {**row, "shard": self.id}

    def _unique(self, rows: Iterator[Row]) -> Iterator[Row]:
        seen: set[bytes] = set()
        for position, row in enumerate(rows):
            key = key_hash(row["key"])
            if key not in seen:
                seen.add(key)
                yield row
                continue
            error = RepeatedKeyError(
                f"row {position} of {self.address} repeats the key {row['key']!r}; keys must be "
                f"unique, name another column with --key-column"
            )
            yield failed({**row, "key": f"{row['key']}#{position}"}, "read", error)

    def _parquet(self) -> Iterator[Row]:
        with open_input(self.address) as handle:
            parquet = pq.ParquetFile(handle)
            schema = parquet.schema_arrow
            key_column, image_column = choose_columns(schema, self.columns, self.address)
            wanted = [c for c in (key_column, image_column) if c is not None]
            position = 0
            for batch in parquet.iter_batches(PARQUET_BATCH, columns=wanted):
                for record in batch.to_pylist():
                    key = None if key_column is None else record[key_column]
                    row: Row = {
                        "key": f"{self.name}#{position}" if key is None else str(key),
                        "shard": self.id,
                    }
                    cell = record[image_column]
                    yield row | _parquet_image(cell, self.address, position, image_column)
                    position += 1

    def _tar(self) -> Iterator[Row]:
        last = None
        with (
            open_input(self.address) as handle,
            tarfile.open(fileobj=handle, mode="r|*") as tar,
        ):
            for member in tar:
                folder, _, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                if not member.isfile() or f".{extension.lower()}" not in IMAGE_SUFFIXES or not stem:
                    continue
                sample = f"{folder}/{stem}" if folder else stem
                if sample == last:  # a sample may hold its image in several formats
                    continue
                last = sample
                content = tar.extractfile(member)
                yield {
                    "key": f"{self.name}/{sample}",
                    "shard": self.id,
                    "uri": tar_uri(self.address, member.name),
                    "image_bytes": content.read() if content is not None else b"",
                }


def key_hash(key: str) -> bytes:
    """16 bytes that identify a key in part files and joins."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[:16]


def choose_columns(schema: pa.Schema, columns: Columns, file: str) -> tuple[str | None, str]:
    """(key column or None, image column) of a Parquet file.

    Raises:
        SourceError: a named column is missing, or no column looks like images or paths.
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
        f"{file} has no column that looks like images or paths (it has "
        f"{', '.join(schema.names)}); name one with --image-column"
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _parquet_image(cell: Any, file: str, position: int, column: str) -> Row:  # noqa: ANN401
    path = cell.get("path") if isinstance(cell, dict) and cell.get("bytes") is None else cell
    if isinstance(path, str):
        absolute = "://" in path or path.startswith("/")
        return {"uri": path if absolute else f"{file.rpartition('/')[0] or '.'}/{path}"}
    uri = parquet_uri(file, position, column)
    data = cell_bytes(cell)
    if data is None:
        missing = SourceError(f"row {position} has neither bytes nor a path in column '{column}'")
        return failed({"uri": uri}, "read", missing)
    return {"uri": uri, "image_bytes": data}
