"""Reading one image: a file, an object, a row of a Parquet file, or a member of a tar.

An address is a path or any fsspec URL; an image inside a container is
`CONTAINER.parquet#row=17&column=image` or `CONTAINER.tar#member=cats/01.jpg`.
"""

from __future__ import annotations

import re
import tarfile
from typing import Any
from urllib.parse import quote, unquote

from ipseg.errors import SourceError
from ipseg.storage.files import open_input, read_bytes

_IN_PARQUET = re.compile(r"^(?P<file>.+)#row=(?P<row>\d+)&column=(?P<column>[^#]+)$")
_IN_TAR = re.compile(r"^(?P<file>.+)#member=(?P<member>[^#]+)$")


def parquet_uri(file: str, row: int, column: str) -> str:
    """Address of the image in one row (counted from 0) of a Parquet file."""
    return f"{file}#row={row}&column={quote(column)}"


def tar_uri(file: str, member: str) -> str:
    """Address of one member of a tar file."""
    return f"{file}#member={quote(member)}"


def fetch(uri: str) -> bytes:
    """The encoded image at an address.

    Raises:
        SourceError: the container has no such row or member.
        OSError: the file is missing or cannot be read.
    """
    if match := _IN_PARQUET.match(uri):
        return _from_parquet(match["file"], int(match["row"]), unquote(match["column"]))
    if match := _IN_TAR.match(uri):
        return _from_tar(match["file"], unquote(match["member"]))
    return read_bytes(uri)


def cell_bytes(value: Any) -> bytes | None:  # noqa: ANN401
    """Encoded bytes in a Parquet cell: binary, or the {bytes, path} struct of Hugging Face."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return bytes(value) if value is not None else None


def _from_parquet(file: str, row: int, column: str) -> bytes:
    import pyarrow.parquet as pq

    with open_input(file) as handle:
        parquet = pq.ParquetFile(handle)
        first = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row < first + rows:
                cell = parquet.read_row_group(group, columns=[column])[column][row - first]
                data = cell_bytes(cell.as_py())
                if data is None:
                    raise SourceError(f"{file}: row {row} has no bytes in column '{column}'")
                return data
            first += rows
    raise SourceError(f"{file}: no row {row}, it has {first}")


def _from_tar(file: str, member: str) -> bytes:
    with open_input(file) as handle, tarfile.open(fileobj=handle, mode="r|*") as tar:
        for info in tar:
            if info.name == member and (content := tar.extractfile(info)) is not None:
                return content.read()
    raise SourceError(f"{file}: no member '{member}'")
