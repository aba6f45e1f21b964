"""JSON files with one long array, written element by element."""

from __future__ import annotations

import json
from typing import IO, Any


class JsonArray:
    """Elements of an array, one on a line, after a beginning of one's own."""

    def __init__(self, file: IO[bytes], start: str = "[") -> None:
        self._file = file
        self._between = b"\n" if start else b""
        file.write(start.encode())

    def add(self, element: Any) -> None:  # noqa: ANN401
        """Writes one element."""
        self._file.write(self._between + compact(element))
        self._between = b",\n"

    def end(self, rest: str = "]\n") -> None:
        """Writes what follows the elements."""
        self._file.write(b"\n" + rest.encode())


def compact(value: Any) -> bytes:  # noqa: ANN401
    """JSON without spaces, ASCII alone."""
    return json.dumps(value, separators=(",", ":")).encode()
