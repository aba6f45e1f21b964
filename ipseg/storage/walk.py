"""Listing everything below a folder as a stream, without caches.

Folders on a disk are streamed, S3 is listed page by page (1,000 keys, each page retried
separately), other filesystems folder by folder. Nothing is sorted, because that would need all
names.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from braceexpand import braceexpand
from fsspec.utils import glob_translate

from ipseg.errors import SourceError
from ipseg.storage.files import filesystem, info, is_http, is_local
from ipseg.storage.retry import with_retry
from ipseg.storage.stamps import version_of

log = logging.getLogger("ipseg")


class Found(NamedTuple):
    """A file or folder that was listed.

    Attributes:
        name: relative to the folder, or to the last folder of a glob without glob characters.
        address: of it.
        is_folder: on an object store, prefixes before a slash are folders.
        version: of a file, see `version_of`; "" where the listing does not say.
    """

    name: str
    address: str
    is_folder: bool
    version: str = ""


_GLOB_CHARACTERS = re.compile(r"[*?\[{]")
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")
_MOST_NAMES = 100_000  # that the braces of one pattern may stand for
_EVERYTHING = 1000  # levels; also ends undetected cycles


def iterate_files(url: str) -> Iterator[Found]:
    """Everything below a folder or matched by a glob; or the one file.

    A glob may have braces, as in `{train,val}/*.jpg` and `{000..127}.tar`. An existing path is used
    literally, even if it contains glob characters. Names that begin with a dot are left out, at any
    level. Links are followed on a disk, but not into a folder that contains them; a dangling link
    is listed as a file. A folder without read permission is logged and left out. A page of a web
    server is a folder of what it links to below itself.

    Raises:
        SourceError: it does not exist; at the end also where a name that braces stand for does not.
        OSError: it cannot be listed after several attempts.
    """
    found = _start(url)
    if found is None:
        raise SourceError(f"{url} does not exist")
    return found


def find_file(url: str) -> Found | None:
    """The one file at an address; None for a folder, a web server's page, a glob, or nothing.

    Raises:
        OSError: the storage does not answer.
    """
    fs, path = filesystem(url)
    return _file(fs, url, path, info(url))


def list_files(url: str, pattern: str | None = None) -> list[str]:
    """Addresses of the files below a folder, sorted; none if it does not exist.

    Args:
        url: a folder; without `pattern` also a glob.
        pattern: glob below the folder, whose name is then used literally.

    Raises:
        OSError: it cannot be listed after several attempts.
    """
    if pattern is None:
        found = _start(url)
    else:
        fs, path = filesystem(url)
        found = _matching(fs, url, path.rstrip("/"), pattern)
    return sorted(each.address for each in found or () if not each.is_folder)


def _start(url: str) -> Iterator[Found] | None:
    fs, path = filesystem(url)
    known = info(url)
    if file := _file(fs, url, path, known):
        return iter([file])
    if known is not None:
        return _below(fs, url, path.rstrip("/"), _EVERYTHING)
    if character := _GLOB_CHARACTERS.search(path):
        root = path[: character.start()].rpartition("/")[0]
        return _matching(fs, url, root, path[len(root) :].lstrip("/"))
    return None


def _file(fs: Any, url: str, path: str, known: dict[str, Any] | None) -> Found | None:  # noqa: ANN401
    if known is None or known["type"] == "directory" or _is_page(fs, known):
        return None
    name = path.rpartition("/")[2]
    name = unquote(name.partition("?")[0]) if is_http(fs) else name
    return Found(name, _address(fs, url, path), False, version_of(known))


def _matching(fs: Any, url: str, root: str, pattern: str) -> Iterator[Found]:  # noqa: ANN401
    patterns = _without_braces(pattern)
    globs = [each for each in patterns if _GLOB_CHARACTERS.search(each)]
    missing = set(patterns).difference(globs)
    names = frozenset(missing)
    fits = re.compile("|".join(map(glob_translate, globs)) or r"(?!)").match
    deepest = max(each.count("/") for each in patterns) + 1
    levels = _EVERYTHING if any("**" in each for each in globs) else deepest
    for found in _below(fs, url, root, levels):
        missing.discard(found.name)
        if found.name in names or fits(found.name):
            yield found
    if missing and len(patterns) > 1:
        raise SourceError(
            f"{url} stands for {len(patterns)} names, of which {len(missing)} "
            f"{'do' if len(missing) > 1 else 'does'} not exist: {', '.join(sorted(missing)[:3])}"
        )


def _without_braces(pattern: str) -> list[str]:
    too_many = SourceError(f"the braces in {pattern} stand for more than {_MOST_NAMES:,} names")
    # The library would make a list of every number before the first name.
    if any(abs(int(high) - int(low)) >= _MOST_NAMES for low, high in _RANGE.findall(pattern)):
        raise too_many
    try:
        patterns = list(islice(braceexpand(pattern, escape=False), _MOST_NAMES + 1))
    except ValueError:  # braces without a partner are characters like others
        return [pattern]
    if len(patterns) > _MOST_NAMES:
        raise too_many
    return list(dict.fromkeys(patterns))


def _below(fs: Any, url: str, root: str, levels: int) -> Iterator[Found]:  # noqa: ANN401
    if is_local(url):
        found = _on_disk(root or "/", "", frozenset(), levels)
    elif hasattr(fs, "call_s3"):
        found = _in_bucket(fs, url, root)
    else:
        found = _by_folder(fs, url, root, levels)
    for each in found:
        yield each._replace(address=_address(fs, url, each.address))


def _on_disk(
    folder: str, prefix: str, above: frozenset[tuple[int, int]], levels: int
) -> Iterator[Found]:
    try:
        state = with_retry(folder, Path(folder).stat)
        here = (state.st_dev, state.st_ino)
        if here in above:
            return
        entries = with_retry(folder, partial(os.scandir, folder))
    except FileNotFoundError:
        return  # removed meanwhile
    except PermissionError as error:
        if not prefix:
            raise
        log.warning("%s is left out: %s", folder, error.strerror)
        return
    with entries:
        for entry in entries:
            name, is_folder = prefix + entry.name, _is_folder(entry)
            if entry.name.startswith("."):
                continue
            yield Found(name, entry.path, is_folder, "" if is_folder else _version(entry))
            if is_folder and levels > 1:
                yield from _on_disk(entry.path, f"{name}/", above | {here}, levels - 1)


def _version(entry: os.DirEntry[str]) -> str:
    try:
        found = entry.stat()
    except OSError:  # reading it gives the error
        return ""
    return version_of({"size": found.st_size, "mtime": found.st_mtime})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a dangling link; reading it gives the error


def _in_bucket(fs: Any, url: str, root: str) -> Iterator[Found]:  # noqa: ANN401
    bucket, key, _ = fs.split_path(root)
    prefix = f"{key}/" if key else ""
    ask = partial(fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix)
    page = with_retry(url, ask)
    inside: list[str] = []
    while True:
        for found in page.get("Contents", ()):
            *folders, file = parts = found["Key"][len(prefix) :].split("/")
            if any(part.startswith(".") for part in parts):
                continue
            for level, _ in enumerate(
                folders
            ):  # keys are sorted, so those of a folder are adjacent
                if inside[: level + 1] != folders[: level + 1]:
                    name = "/".join(folders[: level + 1])
                    yield Found(name, f"{bucket}/{prefix}{name}", True)
            inside = folders
            if file:
                yield Found("/".join(parts), f"{bucket}/{found['Key']}", False, version_of(found))
        if not page.get("IsTruncated"):
            return
        page = with_retry(url, partial(ask, ContinuationToken=page["NextContinuationToken"]))


def _by_folder(fs: Any, url: str, root: str, levels: int) -> Iterator[Found]:  # noqa: ANN401
    waiting = [(root, levels)]
    while waiting:
        folder, left = waiting.pop()
        fs.invalidate_cache(folder)
        try:
            entries = with_retry(url, partial(fs.ls, folder, detail=True))
        except FileNotFoundError:
            continue
        fs.invalidate_cache(folder)
        for entry in entries:
            path = entry["name"].rstrip("/")
            is_folder = entry["type"] == "directory"
            name = path[len(root) :].lstrip("/")
            if is_http(fs):  # a page may link to anything
                if not path.startswith(f"{folder}/") or re.search(r"[?#]", path):
                    continue
                name = unquote(name)
            if path == folder or path.rpartition("/")[2].startswith("."):
                continue
            yield Found(name, path, is_folder, "" if is_folder else version_of(entry))
            if is_folder and left > 1:
                waiting.append((path, left - 1))


def _address(fs: Any, url: str, path: str) -> str:  # noqa: ANN401
    link, chained, rest = url.partition("::")
    if chained and "://" in link:  # zip://inside.jpg::s3://bucket/archive.zip
        return f"{link.partition('://')[0]}://{path}::{rest}"
    if chained and "://" in rest:  # simplecache::s3://bucket/image.jpg
        return f"{link}::{_address(fs, rest, path)}"
    return str(fs.unstrip_protocol(path)) if "://" in url else path


def _is_page(fs: Any, known: dict[str, Any]) -> bool:  # noqa: ANN401
    """Whether a web server shows a page there: its links are listed like a folder."""
    return is_http(fs) and str(known.get("mimetype", "")).startswith("text/html")
