"""Reading one image: a file, an object, a row of a Parquet file, or a member of a tar.

An address is a path or any fsspec URL; an image inside a container is
`CONTAINER.parquet#row=17&column=image` or `CONTAINER.tar#member=cats/01.jpg`.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.storage.cells import image_cells, top_column, values_of
from ipseg.storage.files import open_input, read_bytes
from ipseg.storage.tars import read_member

_IN_PARQUET = re.compile(r"^(?P<file>.+)#row=(?P<row>\d+)&column=(?P<column>[^#]+)$")
_IN_TAR = re.compile(r"^(?P<file>.+)#member=(?P<member>[^#]+)$")


def parquet_uri(file: str, row: int, column: str) -> str:
    """Address of the image in one row (counted from 0) of a Parquet file."""
    return f"{file}#row={row}&column={quote(column)}"


def tar_uri(file: str, member: str) -> str:
    """Address of one member of a tar file."""
    return f"{file}#member={quote(member, errors='surrogateescape')}"


def fetch(uri: str) -> bytes:
    """The encoded image at an address.

    Raises:
        SourceError: the container has no such row or member.
        OSError: the file is missing or cannot be read.
    """
    if match := _IN_PARQUET.match(uri):
        return _from_parquet(match["file"], int(match["row"]), unquote(match["column"]))
    if match := _IN_TAR.match(uri):
        return read_member(match["file"], unquote(match["member"], errors="surrogateescape"))
    return read_bytes(uri)


def _from_parquet(file: str, row: int, column: str) -> bytes:
    with open_input(file) as handle:
        parquet = pq.ParquetFile(handle)
        first = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row < first + rows:
                top = top_column(parquet.schema_arrow, column)
                table = parquet.read_row_group(group, columns=[top]).slice(row - first, 1)
                (cell,) = image_cells(values_of(table.combine_chunks().to_batches()[0], column))
                if not isinstance(cell, bytes):
                    why = cell if isinstance(cell, SourceError) else "it holds no bytes"
                    raise SourceError(f"{file}, row {row}, column '{column}': {why}")
                return cell
            first += rows
    raise SourceError(f"{file}: no row {row}, it has {first}")
