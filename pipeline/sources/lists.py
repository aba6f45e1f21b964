"""Rows of a list of images: CSV, TSV, JSON lines, or a text file with one path a line.

Paths are addresses, or relative to the folder of the list. A line that names no image is a failed
row.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.files import open_input
from ipseg.vision.images import IMAGE_SUFFIXES
from pipeline.sources.carry import pack
from pipeline.sources.parquet import KEY_COLUMNS, PATH_COLUMNS, Columns, place_of

log = logging.getLogger("ipseg")

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
_PATHS = (*PATH_COLUMNS, "image", "file", "filename")
_LONGEST = 2**20  # characters of a line: without line breaks a file is no list

Record = Mapping[str, Any] | SourceError


def read_list(address: str, columns: Columns) -> Iterator[Row]:
    """(key, uri) for each line; keys are those of a column, or the paths as they stand.

    Args:
        address: of the list; its suffix says what it is.
        columns: of its paths and its keys, where they have other names than the usual ones.

    Raises:
        SourceError: no column looks like paths, or a named one is missing.
        OSError: it cannot be read.
    """
    name = PurePosixPath(address).name
    suffix = PurePosixPath(address).suffix.lower()
    with open_input(address) as handle:
        if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # as Excel saves text
            encoding, errors = "utf-16", "replace"
        else:
            encoding, errors = "utf-8-sig", "surrogateescape"
        handle.seek(0)
        text = io.TextIOWrapper(handle, encoding, errors)
        lines = _lines(text, address)
        if suffix == ".txt":
            records = _paths(lines)
        elif suffix in (".csv", ".tsv"):
            records = _table(lines, address, "\t" if suffix == ".tsv" else None)
        else:
            records = _json_lines(lines)
        for number, record in enumerate(records, 1):
            where = f"{name}#{number}"
            if isinstance(record, SourceError):
                yield failed({"key": where, "uri": address}, "read", record)
                continue
            try:
                chosen = _choose(record, columns, address)
            except SourceError as error:
                if number == 1:
                    raise
                yield failed({"key": where, "uri": address}, "read", error)
            else:
                row = _row(record, *chosen, where, address)
                if columns.carry:
                    row["carried"] = pack({name: record.get(name) for name in columns.carry})
                yield row


def _lines(text: io.TextIOWrapper, address: str) -> Iterator[str]:
    while line := text.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise SourceError(f"{address} is no list of images: a line has over {_LONGEST:,} bytes")
        if line.strip():
            yield line


def _paths(lines: Iterator[str]) -> Iterator[Record]:
    """One path a line; lines that begin with # are comments, as wherever people list files."""
    return ({"path": line.strip("\r\n")} for line in lines if not line.startswith("#"))


def _json_lines(lines: Iterator[str]) -> Iterator[Record]:
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield SourceError(f"the line is not valid JSON: {error}")
            continue
        if isinstance(record, str):
            record = {"path": record}
        fits = isinstance(record, dict)
        yield record if fits else SourceError("the line is neither a JSON object nor a path")


def _table(lines: Iterator[str], address: str, delimiter: str | None) -> Iterator[Record]:
    first = next(lines, "")
    delimiter = delimiter or (";" if ";" in first and "," not in first else ",")
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    paths = [cell for cell in header if PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES]
    if paths:
        log.info("%s has no header: %r is taken for the path of an image", address, paths[0])
        names = ["path" if cell == paths[0] else f"column {n}" for n, cell in enumerate(header)]
        yield dict(zip(names, header, strict=True))
        header = names
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield SourceError(f"the line cannot be read as CSV: {error}")
            continue
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        else:
            yield SourceError(f"the line has {len(cells)} cells, the header {len(header)}")


def _choose(record: Mapping[str, Any], columns: Columns, address: str) -> tuple[str | None, str]:
    """(column of keys or None, column of paths)."""
    for name in (columns.key, columns.image, *columns.carry):
        if name is not None and name not in record:
            raise SourceError(f"{address} has no column '{name}'; it has {', '.join(record)}")
    path = columns.image or _first(_PATHS, record)
    if path is None:
        raise SourceError(
            f"{address} has no column that looks like paths of images (it has "
            f"{', '.join(record)}); name one with --image-column"
        )
    return columns.key or _first(KEY_COLUMNS, record), path


def _first(names: Sequence[str], record: Mapping[str, Any]) -> str | None:
    return next((name for name in names if name in record), None)


def _row(record: Mapping[str, Any], id_: str | None, column: str, where: str, file: str) -> Row:
    key, path = id_ and record[id_], record[column]
    if isinstance(key, str | int | float) and not isinstance(key, bool) and key != "":
        where = str(key)
    elif key is not None and key != "":
        error = SourceError(f"the key is {key!r:.100}, which is neither text nor a number")
        return failed({"key": where, "uri": file}, "read", error)
    if not isinstance(path, str) or not path:
        error = SourceError(f"the line names no image: '{column}' is {path!r:.100}")
        return failed({"key": where, "uri": file}, "read", error)
    return {"key": where if key not in (None, "") else path, "uri": place_of(path, file)}
