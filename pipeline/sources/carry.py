"""Columns of a source that go along to the rows of the output, as `--carry label,split` asks.

Between processes their values are one JSON text; the output has them as columns of their own, of
the type that they have in the source where all of its files agree, else as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ipseg.errors import SourceError
from ipseg.storage.cells import has_column, type_of

Types = Mapping[str, pa.DataType]


def carried_types(schemas: Sequence[pa.Schema], names: Sequence[str], where: str) -> Types:
    """Type of each column in the output.

    Args:
        schemas: of the source's files; those that lack a column give nulls.
        names: of the columns.
        where: the source, for messages.

    Raises:
        SourceError: no file has a column, or it holds what cannot be carried.
    """
    types: dict[str, pa.DataType] = {}
    for name in names:
        found = {_type(type_of(s, name), name, where) for s in schemas if has_column(s, name)}
        found.discard(pa.null())
        if not any(has_column(schema, name) for schema in schemas):
            known = ", ".join(dict.fromkeys(each for s in schemas for each in s.names))
            raise SourceError(f"{where} has no column '{name}' to carry; it has {known}")
        types[name] = found.pop() if len(found) == 1 else pa.string()
    return types


def check_names(names: Sequence[str], taken: Sequence[str]) -> None:
    """Refuses columns whose names the output has already.

    Raises:
        SourceError: names the first one.
    """
    if clash := [name for name in names if name in taken]:
        raise SourceError(f"the output has a column '{clash[0]}' of its own; it cannot be carried")


def pack(values: Mapping[str, Any]) -> str:
    """Values of a row as one text."""
    return json.dumps(values, default=str)


def unpack(packed: Sequence[str | None], types: Types) -> dict[str, pa.Array]:
    """The columns of the output from the texts of some rows."""
    rows = [{} if text is None else json.loads(text) for text in packed]
    return {name: _array([row.get(name) for row in rows], kind) for name, kind in types.items()}


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.string()).cast(kind)
    if pa.types.is_string(kind):
        values = [
            value if value is None or isinstance(value, str) else json.dumps(value)
            for value in values
        ]
    return pa.array(values, kind)


def _type(kind: pa.DataType, name: str, where: str) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind) or "binary" in str(kind):
        raise SourceError(f"{where}: a column of type {kind} cannot be carried: '{name}'")
    plain = (
        *(pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating),
        *(pa.types.is_date, pa.types.is_null),
    )
    # Of a time zone, a time of day or a duration, Arrow does not read what Python writes.
    local_time = pa.types.is_timestamp(kind) and kind.tz is None
    return kind if local_time or any(fits(kind) for fits in plain) else pa.string()
