"""Finding the files of a data set: where below its root it begins, what its lists name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ipseg.benchmarks.benchmark import Benchmark, Sampling
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.files import filesystem, info, is_folder, read_bytes

_NAME = re.compile(r"(?!\.)[\w.+\-]+")  # one file name: no folder, nothing hidden


def locate(benchmark: Benchmark, places: Sequence[str], needed: Sequence[str]) -> str:
    """The first place at or below the root where everything needed is.

    Args:
        benchmark: whose root is searched.
        places: folders below the root, "" for the root itself.
        needed: files, and folders (with a slash at the end), below a place.

    Returns:
        Its `absolute` address.

    Raises:
        SourceError: names what is missing, where it was looked for, and the layout.
    """
    tried = [f"{benchmark.root}/{place}".rstrip("/") for place in places]
    lacking: dict[str, list[str]] = {}
    for folder in tried:
        missing = [name for name in needed if not _is_there(f"{folder}/{name}")]
        if not missing:
            return absolute(folder)
        lacking[folder] = missing
    best = min(tried, key=lambda folder: len(lacking[folder]))
    below = [place for place in places if place]
    raise SourceError(
        f"{benchmark.title} is not complete: no {', '.join(lacking[best])} in {best} (looked in "
        f"{benchmark.root}{''.join(f', its {place}' for place in below)}); it needs\n"
        f"{benchmark.layout}"
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


def check_rule(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses a sampling rule the benchmark does not know.

    Raises:
        SourceError: names the rules it knows.
    """
    if sampling.rule and sampling.rule not in benchmark.rules:
        known = ", ".join(f"'{rule}'" for rule in benchmark.rules)
        raise SourceError(
            f"{benchmark.name} has no sampling rule '{sampling.rule}'; "
            + (f"it knows {known}" if known else "it has only its reference, the empty name")
        )


def check_one_shot(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses more supports than one where only one is defined.

    Raises:
        ConfigError: says so.
    """
    if sampling.shot != 1:
        raise ConfigError(
            f"{benchmark.name} with rule '{sampling.rule}' shows one example; "
            f"shot must be 1, not {sampling.shot}"
        )


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
