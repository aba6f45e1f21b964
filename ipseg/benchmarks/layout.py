"""Finding the files of a data set: where below its root it begins, what its lists name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ipseg.errors import SourceError
from ipseg.storage.files import filesystem, info, is_folder, read_bytes

_NAME = re.compile(r"(?!\.)[\w.+\-]+")  # one file name: no folder, nothing hidden


def locate(
    root: str, places: Sequence[str], needed: Sequence[str], *, title: str, layout: str
) -> str:
    """The first place at or below the root where everything needed is.

    Args:
        root: of the data set.
        places: folders below the root, "" for the root itself.
        needed: files, and folders (with a slash at the end), below a place.
        title: of the data set, for the error.
        layout: all files it needs, for the error.

    Returns:
        Its `absolute` address.

    Raises:
        SourceError: names what is missing, where it was looked for, and the layout.
    """
    tried = [f"{root}/{place}".rstrip("/") for place in places]
    lacking: dict[str, list[str]] = {}
    for folder in tried:
        missing = [name for name in needed if not _is_there(f"{folder}/{name}")]
        if not missing:
            return absolute(folder)
        lacking[folder] = missing
    best = min(tried, key=lambda folder: len(lacking[folder]))
    below = [place for place in places if place]
    raise SourceError(
        f"{title} is not complete: no {', '.join(lacking[best])} in {best} (looked in "
        f"{root}{''.join(f', its {place}' for place in below)}); it needs\n"
        f"{layout}"
    )


def absolute(url: str) -> str:
    """The same place for a process with another working directory, as listings give it."""
    return url if "://" in url else str(filesystem(url)[1]).rstrip("/")


def is_file(url: str) -> bool:
    """Whether there is a file (not a folder).

    Raises:
        OSError: it cannot be found out.
    """
    known = info(url)
    return known is not None and known["type"] == "file"


def read_lines(url: str) -> list[str]:
    """The lines of a text file that are not blank, without white space around them.

    Raises:
        SourceError: the file is missing or is no UTF-8 text.
        OSError: it cannot be read.
    """
    try:
        text = read_bytes(url).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SourceError(f"{url} is missing") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{url} is no text file: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_names(url: str) -> tuple[str, ...]:
    """A split list: one file or folder name on each line, in the list's order.

    Raises:
        SourceError: the list is missing, empty, names something twice, or a line is no plain name.
        OSError: it cannot be read.
    """
    names = tuple(read_lines(url))
    if not names:
        raise SourceError(f"{url} is empty; it should list one name on each line")
    for name in names:
        plain_name(name, url)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"{url} lists {twice!r} twice")
    return names


def plain_name(text: str, origin: str) -> str:
    """A name of one file or folder, refused where it is a path or hidden.

    Args:
        text: as written.
        origin: where it was written, for the error.

    Raises:
        SourceError: it is no such name.
    """
    if not _NAME.fullmatch(text):
        raise SourceError(f"{origin}: {text!r} is no plain name of a file or folder")
    return text


def relative_path(text: str, origin: str) -> str:
    """A path that a list gives, refused where it leads out of the data set.

    Args:
        text: as written, slashes between folders.
        origin: the list, for the error.

    Raises:
        SourceError: the path is absolute, a URL, or goes up.
    """
    parts = text.split("/")
    if "://" in text or any(part in {"", ".", ".."} for part in parts):
        raise SourceError(f"{origin} names {text!r}; a path must lie below the data root")
    return text


def _is_there(url: str) -> bool:
    return is_folder(url.rstrip("/")) if url.endswith("/") else is_file(url)
