"""What a file was made from, so that it is not used after that has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ipseg.benchmarks.annotations.threads import read_all
from ipseg.storage.files import BLOCK, exists, open_input
from ipseg.storage.stamps import stamps
from ipseg.storage.walk import list_files


@dataclass(frozen=True)
class Origin:
    """The state of some files when something was made from them.

    Attributes:
        files: their addresses; with a slash at its end, a folder with all files below it.
        quick: hash over names and `stamps`, for a check that reads no file.
        sha256: hash over names and contents, for files that were only copied or touched.
    """

    files: tuple[str, ...]
    quick: str
    sha256: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files))  # a list when read from JSON

    @classmethod
    def of(cls, files: Iterable[str]) -> Origin:
        """Of files as they are now.

        Raises:
            OSError: one is missing or cannot be read.
        """
        files = tuple(files)
        return cls(files, quick_hash(_expanded(files)), _contents(files))

    def changed(self, files: Sequence[str] = ()) -> bool:
        """Whether the files are others now.

        Args:
            files: where they are now; by default where they were. If one of them is gone, nothing
                can be said.

        Raises:
            OSError: one cannot be read.
        """
        files = files or self.files
        if not all(exists(file.rstrip("/")) for file in files):
            return False
        return quick_hash(_expanded(files)) != self.quick and _contents(files) != self.sha256


def quick_hash(files: Iterable[tuple[str, str]]) -> str:
    """64 hex digits over names and `stamps` of files, given as (name, address)."""
    names = dict(files)
    found = stamps(names.values())
    return _hash((name, found[url]) for name, url in names.items())


def _contents(files: Iterable[str]) -> str:
    names = dict(_expanded(files))
    return _hash(zip(names, read_all(_sha256, list(names.values()), None), strict=True))


def _sha256(url: str) -> str:
    digest = hashlib.sha256()
    with open_input(url) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _hash(pairs: Iterable[tuple[str, str | None]]) -> str:
    return hashlib.sha256(repr(sorted(pairs)).encode()).hexdigest()


def _expanded(files: Iterable[str]) -> list[tuple[str, str]]:
    """(name, address) of every file; the name does not change when a data set is moved."""
    return [
        (
            url[len(file.rpartition("/")[0]) + 1 :]
            if file.endswith("/")
            else file.rpartition("/")[2],
            url,
        )
        for file in files
        for url in (list_files(file.rstrip("/")) if file.endswith("/") else [file])
    ]
