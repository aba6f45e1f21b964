"""A file that only one of several processes can create, wherever they run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ipseg.storage.files import exists, filesystem, is_local, read_bytes, write_whole
from ipseg.storage.retry import status_of, with_retry

SETTLE_SECONDS = 2.0

# Their drivers turn mode="create" into a condition that the service checks as it writes. S3 does,
# too, but much that speaks its protocol does not; see `create`.
_CONDITIONAL = frozenset({"gs", "gcs", "abfs", "abfss", "az"})


def create(url: str, data: bytes) -> bool:
    """Creates a file unless there is one; of several callers at once exactly one gets True.

    A disk and the large object stores decide that themselves. Where a store takes no conditions,
    the last of those who write within `SETTLE_SECONDS` has the file, and each finds that out by
    reading it again after that time.

    Args:
        url: a path or any fsspec URL.
        data: unlike what anybody else writes there, because a caller whose answer was lost on the
            way knows its own file by it. On a disk others may see the file before its content.

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
        # A store that only resembles S3 may ignore the condition: then it takes ours twice.
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
    """Tries to create the file; whether that was refused because there is one."""
    fs, path = filesystem(url)
    try:
        with_retry(url, lambda: fs.pipe_file(path, data, mode="create"))
    except FileExistsError:
        return True
    except OSError as error:
        status = status_of(error)
        if status == 412:  # precondition failed
            return True
        if status != 501:  # the store knows the condition, but does not implement it
            raise
        write_whole(url, data)
    return False
