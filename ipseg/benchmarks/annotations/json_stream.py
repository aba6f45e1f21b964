"""Streaming official annotation files: a gigabyte of JSON in a few megabytes of memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator
from numbers import Integral
from typing import IO, Any, NamedTuple

import ijson

from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.errors import SourceError
from ipseg.storage.files import info, open_input

_BLOCK = 2**16  # bytes read at once
# Python and JavaScript write these, which are no JSON; a number that is null is refused where it is
# used.
_NOT_JSON = re.compile(rb"(?<=[\[,:\s])(?:-?Infinity|NaN)(?=[\],}\s])")
_HELD = len(b" -Infinity")


class ImageEntry(NamedTuple):
    """An image: its path below the data set, and its size in pixels."""

    path: str
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def read_heads(
    url: str,
    image_of: Callable[[dict[str, Any], str], ImageEntry],
    progress: Progress | None,
    dropped: Dropped,
    keys: Collection[str] = ("images", "categories"),
) -> tuple[dict[int, ImageEntry], dict[int, str]]:
    """Images and names of categories by id, in the order of a file in COCO's format.

    Args:
        url: of the file.
        image_of: the image of an entry; the second argument names the entry in errors.
        progress: as in `stream_lists`.
        dropped: takes up images that cannot be used.
        keys: which of the two lists to read.

    Raises:
        SourceError: as `stream_lists`, or a category is malformed (named).
        OSError: it cannot be read.
    """
    images: dict[int, ImageEntry] = {}
    names: dict[int, str] = {}
    for key, entry in stream_lists(url, keys, progress):
        where = f"{url}: {'image' if key == 'images' else 'category'} {entry.get('id')!r}"
        if key == "images":
            with dropped.record():
                images[whole_number(entry, "id", where)] = image_of(entry, where)
        else:
            names[whole_number(entry, "id", where)] = str(entry.get("name"))
    return images, names


def whole_number(entry: dict[str, Any], key: str, where: str) -> int:
    """An integer from an entry.

    Raises:
        RecordError: it is missing or not an integer.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise RecordError(
            "record without a whole number where one belongs",
            f"{where}: {key} is {value!r}, not a whole number",
        )
    return int(value)


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
    held = b""
    while block := file.read(_BLOCK):
        if progress:
            progress(file.tell(), size)
        held += block
        if b"NaN" in held or b"Infinity" in held:
            held = _NOT_JSON.sub(b"null", held)
        if ready := held[:-_HELD]:  # an empty block is an end
            yield ready
        held = held[-_HELD:]  # a word may go on in the next block
    yield held
