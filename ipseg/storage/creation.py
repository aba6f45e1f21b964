"""Exclusive creation of files across processes and machines."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ipseg.storage.files import exists, filesystem, is_local, read_bytes, write_whole
from ipseg.storage.retry import status_of, with_retry

SETTLE_SECONDS = 2.0

# Their drivers turn mode="create" into a conditional write. So does that of S3, but not all servers
# with its protocol support it; see `create`.
_CONDITIONAL = frozenset({"gs", "gcs", "abfs", "abfss", "az"})


def create(url: str, data: bytes) -> bool:
    """Creates a file unless it exists; of several simultaneous callers exactly one gets True.

    Disks and the large object stores ensure this themselves. On stores without conditional writes,
    the last caller who writes within `SETTLE_SECONDS` wins, and each caller learns the result by
    reading the file after that time.

    Args:
        url: a path or any fsspec URL.
        data: unique for each caller, so that a caller whose response was lost recognises its file.
            On a disk, others can see the file before its content.

    Raises:
        StorageError: as `filesystem`.
        OSError: it cannot be written.
    """
    fs, path = filesystem(url)
    if is_local(url):
        return _create_on_disk(Path(path), data)
    if exists(url):
        return False
    if hasattr(fs, "call_s3"):
        # A server with the protocol of S3 can ignore the condition: then it accepts ours twice.
        decided = _is_refused(url, data) or _is_refused(url, data)
    else:
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        decided = _is_refused(url, data) or bool(_CONDITIONAL & protocols)
    if not decided:
        time.sleep(SETTLE_SECONDS)
    try:
        return read_bytes(url) == data
    except FileNotFoundError:
        return False


def _create_on_disk(path: Path, data: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _is_refused(url: str, data: bytes) -> bool:
    """Tries to create the file; returns whether that was refused because it exists."""
    fs, path = filesystem(url)
    try:
        with_retry(url, lambda: fs.pipe_file(path, data, mode="create"))
    except FileExistsError:
        return True
    except OSError as error:
        status = status_of(error)
        if status == 412:  # precondition failed
            return True
        if status != 501:  # the server does not implement the condition
            raise
        write_whole(url, data)
    return False
