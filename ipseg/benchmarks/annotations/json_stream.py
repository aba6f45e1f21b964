"""Streaming official annotation files: a gigabyte of JSON in a few megabytes of memory."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator
from typing import IO, Any

import ijson

from ipseg.benchmarks.benchmark import Progress
from ipseg.errors import SourceError
from ipseg.storage.files import info, open_input

_BLOCK = 2**16  # bytes read at once


def stream_lists(
    url: str, keys: Collection[str], progress: Progress | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The elements of some lists in a JSON object, list by list, in a pass over the file for each.

    Args:
        url: of a file `{"key": [{...}, {...}], ...}`.
        keys: of the lists; each must have elements. Everything else in the object is skipped.
        progress: called repeatedly with (bytes read, all bytes) of each pass.

    Yields:
        Key of the list, element.

    Raises:
        SourceError: the file is missing, is not such JSON, or lacks a list.
        OSError: it cannot be read.
    """
    known = info(url)
    if known is None:
        raise SourceError(f"{url} is missing")
    for key in keys:
        number = -1
        with open_input(url) as file:
            blocks = ijson.from_iter(_blocks(file, known["size"], progress))
            try:
                elements = ijson.items(blocks, f"{key}.item", use_float=True, buf_size=_BLOCK)
                for number, element in enumerate(elements):
                    if not isinstance(element, dict):
                        raise SourceError(f"{url}: {key}[{number}] is not an object")
                    yield key, element
            except ijson.JSONError as error:
                raise SourceError(
                    f"{url} is not valid JSON, or is truncated, near byte {file.tell()}: "
                    f"{str(error).splitlines()[0]}"
                ) from error
        if number < 0:
            raise SourceError(
                f"{url} has no list '{key}', or an empty one; it is not the official file"
            )


def _blocks(file: IO[bytes], size: int, progress: Progress | None) -> Iterator[bytes]:
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    while block := file.read(_BLOCK):
        if progress:
            progress(file.tell(), size)
        yield block
