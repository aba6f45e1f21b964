"""Streaming official annotation files: a gigabyte of JSON in a few megabytes of memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Generator, Iterator
from typing import IO, Any

from ipseg.benchmarks.benchmark import Progress
from ipseg.errors import SourceError
from ipseg.storage.files import info, open_input

_BLOCK = 2**22  # bytes read at once
_LONGEST = 2**28  # characters of one element: more than any annotation, less than memory
_SPACE = " \t\r\n"
_AFTER = (*_SPACE, ",", ":", "]", "}")


def stream_lists(
    url: str, keys: Collection[str], progress: Progress | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The elements of some lists in a JSON object, in the order of the file.

    Args:
        url: of a file `{"key": [{...}, {...}], ...}`.
        keys: of the lists; all must exist. Everything else in the object is skipped.
        progress: called repeatedly with (bytes read, all bytes).

    Yields:
        Key of the list, element.

    Raises:
        SourceError: the file is missing, is not such JSON, or lacks a key.
        OSError: it cannot be read.
    """
    known = info(url)
    if known is None:
        raise SourceError(f"{url} is missing")
    with open_input(url) as file:
        window = _Window(file, lambda done: progress(done, known["size"]) if progress else None)
        try:
            seen = yield from _lists(window, keys)
        except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError too
            raise SourceError(
                f"{url} is not valid JSON, or is truncated, near byte {window.done}: {error}"
            ) from error
        except _ShapeError as error:
            raise SourceError(f"{url}: {error}") from None
    if missing := [key for key in keys if key not in seen]:
        raise SourceError(f"{url} has no list '{missing[0]}'; it is not the official file")


class _ShapeError(Exception):
    """Valid JSON of another shape."""


class _Window:
    """A moving window over a text file."""

    def __init__(self, file: IO[bytes], report: Callable[[int], None]) -> None:
        self.done = 0
        self._file, self._report = file, report
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text, self._at = "", 0

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill(_BLOCK):
                return ""

    def take(self, expected: str) -> str:
        """Consumes the next character, which must be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            raise ValueError(f"'{found}' where one of '{expected}' should be")
        self._at += 1
        return found

    def value(self) -> Any:  # noqa: ANN401
        """The next value."""
        self.peek()
        block = _BLOCK
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                # Truncated by the window, or invalid: only more text can decide.
                if len(self._text) - self._at > _LONGEST or not self._fill(block):
                    raise
            else:
                # A number may continue beyond the window ("2." of "2.5").
                if self._text[end : end + 1] in _AFTER or not self._fill(block):
                    self._at = end
                    return value
            block *= 2  # a long value is not parsed again for every block

    def _fill(self, size: int) -> bool:
        data = self._file.read(size)
        self.done += len(data)
        self._text = self._text[self._at :] + self._decoder.decode(data, final=not data)
        self._at = 0
        self._report(self.done)
        return bool(data)


def _lists(
    window: _Window, keys: Collection[str]
) -> Generator[tuple[str, dict[str, Any]], None, set[str]]:
    seen: set[str] = set()
    window.take("{")
    if window.peek() == "}":
        return seen
    while True:
        key = window.value()
        window.take(":")
        if window.peek() == "[":
            for number, element in enumerate(_elements(window)):
                if key in keys:
                    if not isinstance(element, dict):
                        raise _ShapeError(f"{key}[{number}] is not an object")
                    yield key, element
            seen.add(key)
        else:
            window.value()
        if window.take(",}") == "}":
            return seen


def _elements(window: _Window) -> Iterator[Any]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    while True:
        yield window.value()
        if window.take(",]") == "]":
            return
