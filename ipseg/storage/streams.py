"""Files that are written piece by piece on any filesystem, and appear whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from ipseg.storage.files import filesystem, is_local
from ipseg.storage.retry import with_retry


@contextmanager
def whole_file(url: str) -> Iterator[IO[bytes]]:
    """A file to write to; it is at its address when the body has ended, and not at all if it fails.

    Nothing of it is kept in memory. On a disk it is written beside its address and renamed; for
    other storage to a local temporary file, which is then uploaded.

    Raises:
        StorageError: as `filesystem`.
        OSError: it cannot be written.
    """
    fs, path = filesystem(url)
    if is_local(url):
        with _beside(Path(path)) as file:
            yield file
        return
    with tempfile.NamedTemporaryFile(prefix="ipseg-") as file:
        yield file
        file.flush()
        with_retry(url, lambda: fs.put_file(file.name, path))


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_one(url: str, data: bytes) -> None:
    """Writes one of many small files: whole or not at all, but not safe from a power failure yet.

    On a disk that takes a hundredth of the time of `write_whole`, which waits for the disk twice.

    Raises:
        StorageError: as `filesystem`.
        OSError: it cannot be written.
    """
    fs, path = filesystem(url)
    if is_local(url):
        with with_retry(url, lambda: _beside(Path(path))) as file:
            file.write(data)
    else:
        with_retry(url, lambda: fs.pipe_file(path, data))


@contextmanager
def scratch_file(url: str) -> Iterator[IO[bytes]]:
    """A file without a name, which is gone with the process, on the disk of an address if it can.

    The place for temporary files may be memory, or too small for what is to be at the address.
    """
    beside = Path(filesystem(url)[1]).parent if is_local(url) else None
    with tempfile.TemporaryFile(prefix="ipseg-", dir=beside) as file:
        yield file


def append_file(target: IO[bytes], source: IO[bytes]) -> None:
    """Appends all of a file to another one, piece by piece."""
    source.seek(0)
    shutil.copyfileobj(source, target, 2**20)
