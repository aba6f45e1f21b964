"""Files on any filesystem: a local disk, or any storage with an fsspec driver.

An address is a path or any fsspec URL. Transient errors are retried (`ipseg.storage.retry`);
listings are never cached, because other processes write too.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ipseg.errors import StorageError
from ipseg.storage.retry import RetriedFile, with_retry

BLOCK = 8 * 2**20  # bytes per request when a remote file is read in blocks

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
# Of zip://...::FILE and the like, where the file is no archive.
_BROKEN_ARCHIVE = (zipfile.BadZipFile, tarfile.TarError)


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a path or URL, and the path inside it.

    Raises:
        StorageError: the protocol is unknown, or its package is missing.
    """
    if "://" not in url:
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(url)
    options = {name: _s3_options(name) for name in ("s3", "s3a") if f"{name}://" in url}
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        protocol = url.partition("://")[0].rpartition("::")[2]
        extra = _EXTRAS.get(protocol)
        hint = f"; pip install 'ipseg[{extra}]'" if extra else ""
        raise StorageError(f"cannot open {url}: {error}{hint}") from error
    except (ValueError, FileNotFoundError, *_BROKEN_ARCHIVE) as error:
        raise StorageError(f"cannot open {url}: {error}") from error
    if "s3" in _protocols(fs):
        fs.retries = 1  # attempts; `with_retry` makes further ones
    return fs, path


def is_local(url: str) -> bool:
    """Whether an address is on a local or mounted disk."""
    return _is_disk(filesystem(url)[0])


def read_bytes(url: str) -> bytes:
    """A whole file.

    Raises:
        StorageError: as `filesystem`.
        OSError: the file is missing, or cannot be read after several attempts.
    """
    fs, path = filesystem(url)

    def call() -> bytes:
        if not _is_disk(fs):
            return cast(bytes, fs.cat_file(path))
        with _open_local(path) as file:
            return file.read()

    return with_retry(url, call)


def open_input(url: str) -> IO[bytes]:
    """A seekable file for readers that seek (Parquet) or stream (tar); the caller closes it.

    A remote file is read in blocks, and a truncated block is fetched again. If the server does not
    support ranges, the whole file is copied to a temporary one, and a truncated copy starts again.

    Raises:
        StorageError: as `filesystem`.
        OSError: the file is missing, or cannot be read after several attempts; reads raise it too.
    """
    fs, path = filesystem(url)
    if _is_disk(fs):
        return with_retry(url, lambda: _open_local(path))
    file = RetriedFile(url, with_retry(url, lambda: fs.open(path, "rb", block_size=BLOCK)))
    try:
        file.seek(-1, os.SEEK_END)
        file.read(1)
        file.seek(0)
    except (TypeError, ValueError):  # unknown size, no ranges, or empty
        file.close()
        return with_retry(url, lambda: _copy(fs, path))
    return cast(IO[bytes], file)


def write_whole(url: str, data: bytes) -> None:
    """Writes a file atomically, replacing an existing one.

    On a disk: a temporary file, fsync, rename. On an object store: one upload, which becomes
    visible when it is complete. On other filesystems this depends on the driver.

    Raises:
        StorageError: as `filesystem`.
        OSError: it cannot be written; an existing file is unchanged.
    """
    fs, path = filesystem(url)
    if _is_disk(fs):
        with_retry(url, lambda: _replace(Path(path), data))
    else:
        with_retry(url, lambda: fs.pipe_file(path, data))


def info(url: str) -> dict[str, Any] | None:
    """What the filesystem reports of a file or folder ("type", "size", ...); None if missing.

    Raises:
        StorageError: as `filesystem`.
        OSError: the storage does not answer, which is different from None.
    """
    fs, path = filesystem(url)
    fs.invalidate_cache()
    try:
        known: dict[str, Any] = with_retry(url, lambda: fs.info(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return known


def exists(url: str) -> bool:
    """Whether there is a file or folder.

    Raises:
        OSError: the storage does not answer.
    """
    return info(url) is not None


def is_folder(url: str) -> bool:
    """Whether there is a folder; on an object store, whether there are objects below it.

    Raises:
        OSError: the storage does not answer.
    """
    known = info(url)
    return known is not None and known["type"] == "directory"


def remove(url: str) -> None:
    """Removes one file.

    Raises:
        OSError: it cannot be removed; on a disk also if it does not exist.
    """
    fs, path = filesystem(url)
    with_retry(url, lambda: fs.rm_file(path))


def _s3_options(protocol: str) -> dict[str, Any]:
    given = fsspec.config.conf.get(protocol, {})
    return {
        # A cached listing hides what other processes have written since.
        "use_listings_cache": False,
        # Attempts of botocore, s3fs and ours would multiply to 125, over many minutes.
        "config_kwargs": {"retries": {"total_max_attempts": 1}, **given.get("config_kwargs", {})},
        # With 1, an image is read in one request; with more, its size is requested first.
        "max_concurrency": given.get("max_concurrency", 1),
    }


def is_http(fs: Any) -> bool:  # noqa: ANN401
    """Whether a filesystem is that of a web server."""
    return "http" in fs.protocol


def _protocols(fs: Any) -> tuple[str, ...]:  # noqa: ANN401
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _is_disk(fs: Any) -> bool:  # noqa: ANN401
    return "file" in _protocols(fs)


def _open_local(path: str) -> IO[bytes]:
    # Reading a named pipe would wait forever.
    if not stat.S_ISREG(mode := Path(path).stat().st_mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "is not a regular file", path)
    return Path(path).open("rb")


def _copy(fs: Any, path: str) -> IO[bytes]:  # noqa: ANN401
    copy = tempfile.TemporaryFile()  # noqa: SIM115  (returned to the caller)
    try:
        with fs.open(path, "rb") as file:
            shutil.copyfileobj(file, copy)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that no reader uses a half-written file.
    temporary = path.parent / f".{uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # makes the rename durable too
    finally:
        os.close(folder)
