"""Results: JSON on stdout, and files that the user named."""

from __future__ import annotations

import json
from pathlib import Path

from ipseg.errors import OutputError


def print_json(value: object, *, indent: int | None = None) -> None:
    """Prints a result to stdout."""
    print(json.dumps(value, indent=indent), flush=True)  # noqa: T201


def write_file(path: Path, data: bytes) -> None:
    """Writes bytes, making the folder if needed.

    Raises:
        OutputError: with the system's reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
