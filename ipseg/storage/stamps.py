"""Whether files have changed, by what a storage says of them, without reading them.

`version_of` is what a listing knows already. `stamps` asks for more: for files of which numbers or
tables are made that nobody compares with them later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem

from ipseg.storage.files import filesystem, info, is_http
from ipseg.storage.retry import with_retry


def version_of(about: Mapping[str, Any]) -> str:
    """What changes when a file is replaced: its size, and its ETag or time as far as known.

    Args:
        about: from `info`, or from a listing with details.
    """
    names = ("ETag", "etag", "mtime", "LastModified", "Last-Modified", "last_modified", "updated")
    version = next((about[name] for name in names if about.get(name)), "")
    return f"{about.get('size', about.get('Size'))}-{version}".replace('"', "")


def stamps(urls: Iterable[str]) -> dict[str, str | None]:
    """Size, times and checksum of files: another stamp after each change, also where `cp -p` or
    `rsync -t` kept the time of modification.

    A folder on an object store is listed once, whatever the number of its files.

    Returns:
        address -> stamp; None for a file that is missing.

    Raises:
        OSError: the storage does not answer.
    """  # noqa: D205  (one sentence)
    folders: dict[tuple[Any, str], dict[str, str]] = defaultdict(dict)
    for url in urls:
        fs, path = filesystem(url)
        folders[fs, path.rpartition("/")[0]][url] = path
    found: dict[str, str | None] = {}
    for (fs, folder), paths in folders.items():
        read = _on_disk if isinstance(fs, LocalFileSystem) else _by_url if is_http(fs) else _listed
        found |= with_retry(folder, partial(read, fs, paths))
    return found


def _on_disk(fs: Any, paths: Mapping[str, str]) -> dict[str, str | None]:  # noqa: ANN401
    del fs
    return {url: _state(Path(path)) for url, path in paths.items()}


def _state(path: Path) -> str | None:
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def _by_url(fs: Any, paths: Mapping[str, str]) -> dict[str, str | None]:  # noqa: ANN401
    """A page of a server names its files and says nothing else of them."""
    del fs
    known = {url: info(url) for url in paths}
    return {
        url: None if each is None else str(each.get("ETag") or uuid4())
        for url, each in known.items()
    }


def _listed(fs: Any, paths: Mapping[str, str]) -> dict[str, str | None]:  # noqa: ANN401
    folder = next(iter(paths.values())).rpartition("/")[0]
    fs.invalidate_cache(folder)
    try:
        entries = fs.ls(folder, detail=True)
    except FileNotFoundError:
        entries = []
    known = {entry["name"]: str(sorted(entry.items())) for entry in entries}
    return {url: known.get(path) for url, path in paths.items()}
