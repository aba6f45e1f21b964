"""Finding the files of a data set: its folder below the root, and what its lists name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from ipseg.errors import SourceError
from ipseg.storage.files import filesystem, info, is_folder, read_bytes
from ipseg.storage.walk import iterate_files

_NAME = re.compile(r"(?!\.)[\w.+\-]+")  # one file name: no folder, nothing hidden


def nested(*names: str) -> tuple[str, ...]:
    """Candidate folders with these names, best first: releases nest them differently."""
    roots = ("", "datasets", "data", "datasets/fss", "data/fss")
    return tuple(dict.fromkeys(f"{root}/{name}".strip("/") for root in roots for name in names))


def folders_of(root: str, places: Iterable[str]) -> list[str]:
    """These folders at ("") or below a root."""
    return [f"{root}/{place}".rstrip("/") for place in places]


def locate(
    root: str, places: Sequence[str], needed: Sequence[str], *, title: str, layout: str
) -> str:
    """The first folder at or below the root that holds everything needed.

    Args:
        root: of the data set.
        places: candidate folders below the root; "" is the root itself.
        needed: files, and folders (with a trailing slash), below a candidate.
        title: of the data set, for the error.
        layout: all files it needs, for the error.

    Returns:
        Its `absolute` address.

    Raises:
        SourceError: says what is missing, which folders were searched, and the layout.
    """
    missing: dict[str, list[str]] = {}
    for folder in folders_of(root, places):
        missing[folder] = [name for name in needed if not _exists(f"{folder}/{name}")]
        if not missing[folder]:
            return absolute(folder)
    best = min(missing, key=lambda folder: len(missing[folder]))
    below = [place for place in places if place]
    raise SourceError(
        f"{title} is not complete: no {', '.join(missing[best])} in {best} (searched "
        f"{root}{''.join(f', its {place}' for place in below)}); it needs\n"
        f"{layout}"
    )


def absolute(url: str) -> str:
    """The address in the form of listings, valid whatever the working directory."""
    return url if "://" in url else str(filesystem(url)[1]).rstrip("/")


def is_file(url: str) -> bool:
    """Whether there is a file (not a folder).

    Raises:
        OSError: the storage does not answer.
    """
    known = info(url)
    return known is not None and known["type"] == "file"


def read_lines(url: str) -> list[str]:
    """The non-blank lines of a text file, stripped of white space.

    Raises:
        SourceError: the file is missing or is not UTF-8 text.
        OSError: it cannot be read.
    """
    try:
        text = read_bytes(url).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SourceError(f"{url} is missing") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{url} is not a text file: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_files(base: str, names: Collection[str]) -> None:
    """Checks that the files a list names exist, by listing their folders.

    Args:
        base: folder of the data set.
        names: paths of files below it, each in a folder.

    Raises:
        SourceError: a file or a folder is missing.
        OSError: a folder cannot be listed.
    """
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        wanted = {name for name in names if name.rpartition("/")[0] == folder}
        listed = iterate_files(f"{base}/{folder}")
        if missing := sorted(wanted - {f"{folder}/{each.name}" for each in listed}):
            raise SourceError(
                f"{base}/{missing[0]} is missing, which the lists need "
                f"({len(missing)} of {len(wanted)} files in {folder}/ are missing)"
            )


def read_names(url: str, allowed: re.Pattern[str] = _NAME) -> tuple[str, ...]:
    """A split list: one file or folder name per line, in order.

    Args:
        url: of the list.
        allowed: form of the names.

    Raises:
        SourceError: the list is missing or empty, has a name twice, or a line is not such a name.
        OSError: it cannot be read.
    """
    names = tuple(read_lines(url))
    if not names:
        raise SourceError(f"{url} is empty; it should list one name per line")
    for name in names:
        if not allowed.fullmatch(name):
            raise SourceError(f"{url} lists {name!r}, which is not the name of a file or folder")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"{url} lists {twice!r} twice")
    return names


def plain_name(text: str, origin: str) -> str:
    """Checks that a name is that of one file or folder: not a path, not hidden.

    Args:
        text: as written.
        origin: where it was written, for the error.

    Raises:
        SourceError: it is not such a name.
    """
    if not _NAME.fullmatch(text):
        raise SourceError(f"{origin}: {text!r} is not a plain name of a file or folder")
    return text


def relative_path(text: str, origin: str) -> str:
    """Checks that a path from a list stays within the data set.

    Args:
        text: as written, with slashes between folders.
        origin: the list, for the error.

    Raises:
        SourceError: the path is absolute, a URL, or goes up.
    """
    parts = text.split("/")
    if "://" in text or any(part in {"", ".", ".."} for part in parts):
        raise SourceError(f"{origin} names {text!r}; a path must be below the data root")
    return text


def _exists(url: str) -> bool:
    return is_folder(url.rstrip("/")) if url.endswith("/") else is_file(url)
