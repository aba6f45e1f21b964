"""Writing a result file that the user named."""

from __future__ import annotations

from pathlib import Path

from ipseg.errors import OutputError


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
