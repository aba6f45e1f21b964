"""Rows of a Parquet file that holds images, or the places of images.

Whatever is wrong with one cell, one row group or the choice of columns becomes failed rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.addresses import parquet_uri
from ipseg.storage.cells import (
    Cell,
    has_column,
    holds,
    image_cells,
    key_cells,
    top_column,
    type_of,
    values_of,
)
from ipseg.storage.files import open_input
from pipeline.sources.carry import pack

if TYPE_CHECKING:
    from pipeline.sources.shard import Shard

KEY_COLUMNS = ("key", "__key__", "image_id", "id", "file_name")
BYTES_COLUMNS = ("image", "image_bytes", "bytes", "jpg", "jpeg", "png")
PATH_COLUMNS = ("path", "uri", "url", "image_path", "file_name")
# What pyarrow raises for files that are damaged, or of a kind that it cannot read.
UNREADABLE = (OSError, pa.ArrowException, ValueError)
_BATCH = 32  # rows decoded at a time: encoded images are large


@dataclass(frozen=True)
class Columns:
    """Which columns of a source to use; None looks for the usual names.

    Attributes:
        key: column with a unique id, or a field in a struct (`photo.name`). Without one keys are
            `FILE/PATH` where images have paths that tell them apart, else `FILE#ROW`.
        image: column with encoded images, or with their paths or URLs. In a tar, the extension of
            the images, as in `jpg` or `seg.png`.
        carry: columns that the output is to have too.
    """

    key: str | None = None
    image: str | None = None
    carry: tuple[str, ...] = ()


def read_parquet(shard: Shard) -> Iterator[Row]:
    """The rows of a file; a row group that cannot be read is one failed row.

    Raises:
        OSError, pa.ArrowException, ValueError: the file cannot be read.
    """
    with open_input(shard.address) as handle:
        file = pq.ParquetFile(handle)
        schema = file.schema_arrow
        key = choose_key(schema, shard.columns, shard.address)
        try:
            image = choose_image(schema, shard.columns, shard.address)
        except SourceError as error:
            yield from _without_images(shard, file, key, error)
            return
        prefix = ""
        if key is None and _names_images(file, image):
            key, prefix = f"{image}.path", f"{shard.name}/"
        carry = tuple(name for name in shard.columns.carry if has_column(schema, name))
        names = [name for name in (key, image, *carry) if name is not None]
        wanted = list(dict.fromkeys(top_column(schema, name) for name in names))
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            position = first
            try:
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=wanted):
                    keys = _keys(batch, key, prefix)
                    for row in _carrying(_rows(shard, batch, position, keys, image), batch, carry):
                        position += 1
                        yield row
            except UNREADABLE as error:
                name = f"{shard.name}#{position}-{first + rows - 1}"
                broken = SourceError(
                    f"rows {position} to {first + rows - 1} of {shard.address} cannot be read: "
                    f"{error}"
                )
                yield failed({"key": name, "shard": shard.id, "uri": shard.address}, "read", broken)
            first += rows


def choose_key(schema: pa.Schema, columns: Columns, file: str) -> str | None:
    """The column of keys, or None where there is none.

    Raises:
        SourceError: the one that was named is missing.
    """
    if columns.key is not None:
        _check(schema, columns.key, file)
        return columns.key
    return next((name for name in KEY_COLUMNS if schema.names.count(name) == 1), None)


def choose_image(schema: pa.Schema, columns: Columns, file: str) -> str:
    """The column of images or their places.

    Raises:
        SourceError: the one that was named is missing, or no column looks like one.
    """
    if columns.image is not None:
        _check(schema, columns.image, file)
        return columns.image
    for names, kind in ((BYTES_COLUMNS, "bytes"), (PATH_COLUMNS, "text"), (BYTES_COLUMNS, "null")):
        for name in names:
            if name in schema.names and _check(schema, name, file) == kind:
                return name
    raise SourceError(
        f"{file} has no column that looks like images or paths (it has "
        f"{', '.join(schema.names)}); name one with --image-column"
    )


def _check(schema: pa.Schema, name: str, file: str) -> str | None:
    try:
        found = has_column(schema, name)
    except SourceError as error:
        raise SourceError(f"{file}: {error}; rename one of them") from error
    if not found:
        raise SourceError(f"{file} has no column '{name}'; it has {', '.join(schema.names)}")
    return holds(type_of(schema, name))


def _names_images(file: pq.ParquetFile, image: str) -> bool:
    """Whether the images of a file have paths beside them that tell them apart."""
    if not has_column(file.schema_arrow, f"{image}.path"):
        return False
    seen: set[str] = set()
    for batch in file.iter_batches(1024, columns=[f"{image}.path"]):
        for name in key_cells(values_of(batch, f"{image}.path")):
            if not isinstance(name, str) or name in seen:
                return False
            seen.add(name)
    return True


def _carrying(rows: Iterator[Row], batch: pa.RecordBatch, carry: tuple[str, ...]) -> Iterator[Row]:
    if not carry:
        return rows
    columns = [values_of(batch, name).to_pylist() for name in carry]
    values = (dict(zip(carry, each, strict=True)) for each in zip(*columns, strict=True))
    return ({**row, "carried": pack(each)} for row, each in zip(rows, values, strict=True))


def _rows(
    shard: Shard,
    batch: pa.RecordBatch,
    first: int,
    keys: list[str | SourceError | None],
    image: str,
) -> Iterator[Row]:
    cells = image_cells(values_of(batch, image))
    for position, (name, cell) in enumerate(zip(keys, cells, strict=True), first):
        row: Row = {"key": f"{shard.name}#{position}", "shard": shard.id}
        if isinstance(name, SourceError):
            yield failed(row | {"uri": shard.address}, "read", name)
        else:
            yield row | ({"key": name} if name else {}) | _image(cell, shard, position, image)


def _keys(
    batch: pa.RecordBatch, key: str | None, prefix: str = ""
) -> list[str | SourceError | None]:
    cells = [None] * len(batch) if key is None else key_cells(values_of(batch, key))
    return [f"{prefix}{cell}" if isinstance(cell, str) else cell for cell in cells]


def _without_images(
    shard: Shard, file: pq.ParquetFile, key: str | None, error: SourceError
) -> Iterator[Row]:
    """A failed row for each row of a file in which no column can be the images."""
    position = 0
    wanted = [] if key is None else [top_column(file.schema_arrow, key)]
    for batch in file.iter_batches(1024, columns=wanted):
        for name in _keys(batch, key):
            usable = name if isinstance(name, str) else f"{shard.name}#{position}"
            yield failed({"key": usable, "shard": shard.id, "uri": shard.address}, "read", error)
            position += 1


def _image(cell: Cell, shard: Shard, position: int, column: str) -> Row:
    if isinstance(cell, str):
        return {"uri": place_of(cell, shard.address)}
    uri = parquet_uri(shard.address, position, column)
    if isinstance(cell, bytes):
        return {"uri": uri, "image_bytes": cell}
    missing = SourceError(f"row {position} has neither bytes nor a path in column '{column}'")
    error = missing if cell is None else SourceError(f"row {position}, column '{column}': {cell}")
    return failed({"uri": uri}, "read", error)


def place_of(path: str, file: str) -> str:
    """The address of a path that a file names; a relative one begins at the file's folder."""
    absolute = "://" in path or path.startswith("/")
    return path if absolute else f"{file.rpartition('/')[0] or '.'}/{path}"
