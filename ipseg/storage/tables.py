"""Whole tables as Parquet on any filesystem."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import SourceError
from ipseg.storage.files import read_bytes, write_whole


def write_table(url: str, table: pa.Table, **options: Any) -> None:  # noqa: ANN401  (pyarrow's)
    """Writes a table atomically, each page with a checksum.

    Args:
        url: of the file.
        table: in memory.
        options: of `pyarrow.parquet.write_table`.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True, **options)
    write_whole(url, buffer.getvalue())


def read_table(url: str, remedy: str) -> pa.Table:
    """Reads a table that was made once from other files.

    Args:
        url: of the file.
        remedy: what to do after deleting a damaged one, for the error.

    Raises:
        SourceError: it is damaged.
        OSError: it is missing or cannot be read.
    """
    data = read_bytes(url)
    try:
        return pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{url} is damaged ({error}); delete it {remedy}") from error
