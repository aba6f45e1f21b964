"""Cells of tables that hold images, their places or keys, whatever their Arrow type is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.errors import SourceError

Cell = bytes | str | None | SourceError

_FIELDS = ("bytes", "path")  # of Hugging Face's image struct


def holds(kind: pa.DataType) -> str | None:
    """What a column of a type can hold: "bytes", "text", "null" (nothing yet), or None of these."""
    kind = _plain_type(kind)
    if pa.types.is_struct(kind):
        return "bytes" if any(kind.get_field_index(name) >= 0 for name in _FIELDS) else None
    if _is_text(kind):
        return "text"
    if _is_binary(kind):
        return "bytes"
    return "null" if pa.types.is_null(kind) else None


def image_cells(column: pa.Array) -> list[Cell]:
    """Encoded images (bytes) or their places (str); None where there is neither.

    Args:
        column: binary, text, or structs of bytes and path; also large ones, of fixed size, views
            and dictionaries. A cell of any other type is an error in its place.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_struct(kind) and holds(kind) is not None:
        fields = [name for name in _FIELDS if kind.get_field_index(name) >= 0]
        columns = [image_cells(pc.struct_field(column, name)) for name in fields]
        return [
            next((cell for cell in cells if cell is not None), None)
            for cells in zip(*columns, strict=True)
        ]
    if _is_text(kind):
        return [_text(cell) for cell in column.cast(pa.large_binary()).to_pylist()]
    if _is_binary(kind):
        cells: list[Cell] = column.to_pylist()
        return cells
    return _refused(column, f"a value of type {kind} is neither an image nor its path")


def key_cells(column: pa.Array) -> list[str | SourceError | None]:
    """Keys as text, None for null and for empty text; an error in place of what is no key."""
    column = _plain(column)
    kind = column.type
    if _is_text(kind) or _is_binary(kind):
        return [_text(cell) or None for cell in column.cast(pa.large_binary()).to_pylist()]
    if pa.types.is_nested(kind):
        return _refused(column, f"a value of type {kind} is no key; name another --key-column")
    return [None if cell is None else str(cell) for cell in column.to_pylist()]


def has_column(schema: pa.Schema, name: str) -> bool:
    """Whether there is a column, or a field in a struct by its path, as in `image.path`.

    Raises:
        SourceError: several columns have the name.
    """
    top, *path = _parts(schema, name)
    if schema.names.count(top) > 1:
        raise SourceError(f"it has {schema.names.count(top)} columns named '{top}'")
    return top in schema.names and _field(schema.field(top).type, path) is not None


def type_of(schema: pa.Schema, name: str) -> pa.DataType:
    """The type of a column that `has_column`."""
    top, *path = _parts(schema, name)
    return _field(schema.field(top).type, path)


def top_column(schema: pa.Schema, name: str) -> str:
    """The column that has to be read for it."""
    return _parts(schema, name)[0]


def values_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The values of a column, or of a field in a struct."""
    top, *path = _parts(batch.schema, name)
    column = batch.column(top)
    return pc.struct_field(column, path) if path else column


def _parts(schema: pa.Schema, name: str) -> list[str]:
    return [name] if name in schema.names else name.split(".")


def _field(kind: pa.DataType, path: list[str]) -> pa.DataType | None:
    for name in path:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return _plain_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column.type, pa.BaseExtensionType):
        return _plain(column.storage)
    return _plain(column.dictionary_decode()) if pa.types.is_dictionary(column.type) else column


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _refused(column: pa.Array, why: str) -> list[Any]:
    return [SourceError(why) if there else None for there in column.is_valid().to_pylist()]


def _text(cell: bytes | None) -> str | SourceError | None:
    if cell is None:
        return None
    try:
        return cell.decode()
    except UnicodeDecodeError as error:
        return SourceError(f"a value is not valid UTF-8 text: {error}")
