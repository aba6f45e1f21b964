"""What a walk over a source comes upon: loose images, container files, and what is neither."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from ipseg.errors import ImageError, SourceError
from ipseg.rows import Row, failed
from ipseg.storage.files import is_folder
from ipseg.storage.tars import TAR_SUFFIXES
from ipseg.storage.walk import Found as Entry
from ipseg.storage.walk import iterate_files
from ipseg.vision.heif import heif_hint
from ipseg.vision.images import IMAGE_SUFFIXES
from ipseg.vision.video import is_video, video_hint
from pipeline.sources.lists import LIST_SUFFIXES, read_list
from pipeline.sources.parquet import Columns
from pipeline.sources.tar import WITHOUT_SUFFIX

log = logging.getLogger("ipseg")

_NAMES = {"images": "image", "parquet": "Parquet file", "webdataset": "tar"}
ContainerKind = Literal["parquet", "webdataset"]

# Spark, Delta, Hive and Arrow leave out files and folders of these names, too.
_NO_DATA = "file in a table that begins with '_'"
_OWN_OUTPUT = re.compile(
    r"(^|/)(shard=[^/]+/part-[^/]+|listing/\d{5}-of-\d{5}|bank/entries)\.parquet$"
)


class Found:
    """Sorts what is in a source.

    Attributes:
        ignored: files that are no input, by suffix or reason.
        containers: (kind, name, address) of container files.
    """

    def __init__(self, url: str, out: str, *, sequences: bool = False) -> None:
        """Looks at nothing yet.

        Args:
            url: of the source.
            out: run folder.
            sequences: a row is a sequence, so a video file is one, too.
        """
        self._sequences = sequences
        self.ignored: Counter[str] = Counter()
        self.containers: list[tuple[ContainerKind, str, str]] = []
        self._suffixes: Counter[str] = Counter()  # of images
        self._url = url
        self._own = f"{_path(out)}/"
        self._below_out = 0  # files

    @property
    def is_list(self) -> bool:
        """Whether it is a list of images, not the place of some."""
        suffix = PurePosixPath(self._url).suffix.lower()
        return suffix in LIST_SUFFIXES and not is_folder(self._url)

    def images(self, columns: Columns) -> Iterator[Row]:
        """Rows of the loose images; the rest is noted. What a run wrote below OUT is no input."""
        if self.is_list:
            yield from self._listed(columns)
            return
        # A glob matches folders without what is in them.
        empty = _EmptyFolders() if self._sequences and is_folder(self._url) else None
        some = False
        for found in iterate_files(self._url):
            if f"{_path(found.address)}/".startswith(self._own):
                self._below_out += not found.is_folder
            else:
                if empty is not None:
                    empty.add(found)
                for row in self._sort(*found):
                    some = True
                    yield row
        if some and empty is not None:
            yield from empty.rows()

    def _listed(self, columns: Columns) -> Iterator[Row]:
        for found in iterate_files(self._url):
            for row in read_list(found.address, columns):
                kind = _kind_of(row["uri"])
                if kind is None or kind == "images":
                    yield row
                else:
                    self.containers.append((kind, row["key"], row["uri"]))

    def _sort(self, name: str, address: str, folder: bool, version: str) -> Iterator[Row]:
        kind = _kind_of(name)
        if folder:
            if PurePosixPath(name).name == "_delta_log":
                log.warning(
                    "%s is a Delta table; all of its Parquet files are read, also those that the "
                    "table has replaced or deleted: give the files of its newest version as a list",
                    address.rpartition("/")[0],
                )
            if kind == "images":
                # A folder named like an image is a row, which fails: the user should know of it.
                yield {"key": name, "uri": address}
        elif kind == "images":
            self._suffixes[PurePosixPath(name).suffix] += 1
            yield {"key": name, "uri": address, "version": version}
        elif self._sequences and is_video(name):
            yield {"key": name, "uri": address, "version": version}
        elif kind is None:
            self.ignored[PurePosixPath(name).suffix.lower() or WITHOUT_SUFFIX] += 1
        elif any(part.startswith("_") for part in PurePosixPath(name).parts):
            self.ignored[_NO_DATA] += 1
        elif _OWN_OUTPUT.search(name):
            self.ignored["output of ipseg"] += 1
        else:
            self.containers.append((kind, name, address))

    def only_kind(self, images: int) -> str:
        """What the source is.

        Raises:
            SourceError: it is nothing, or several things.
        """
        self._drop_tables_of_tars()
        counts = Counter(kind for kind, _, _ in self.containers)
        present: dict[str, int] = {str(kind): count for kind, count in counts.items()}
        if images:
            present = {"images": images, **present}
        if not present:
            raise SourceError(
                f"no image matched {self._url} ({self._instead()}); give a folder, glob or URL of "
                f"images, .parquet or .tar files, or a list of them in a .csv, .jsonl or .txt file"
            )
        if len(present) > 1:
            *others, last = (
                f"{count:,} {_NAMES[kind]}{'s' if count > 1 else ''}"
                for kind, count in sorted(present.items())
            )
            listed = f"{', '.join(others)} and {last}"
            raise SourceError(
                f"{self._url} mixes {listed}; name one kind with a glob: "
                f"{' or '.join(map(repr, self._globs()))}"
            )
        return next(iter(present))

    def _instead(self) -> str:
        """What is there in place of images."""
        if self.is_list:
            return "the list is empty"
        if self.ignored and self._url.lower().endswith(".zip"):
            return f"an archive; its images are zip://**::{self._url}"
        if self.ignored:
            listed = ", ".join(f"{count:,} {what}" for what, count in self.ignored.most_common(5))
            hint = video_hint(self.ignored) if self._sequences else ""
            return f"only {listed}{heif_hint(self.ignored)}{hint}"
        if self._below_out:
            return f"only files in the folder of the output, {self._own[:-1]}, which are no input"
        return "the folder is empty" if is_folder(self._url) else "no file has such a name"

    def _drop_tables_of_tars(self) -> None:
        """img2dataset writes what it knows of x.tar into x.parquet beside it."""
        tars = {_stem(address) for kind, _, address in self.containers if kind == "webdataset"}
        tables = {each for each in self.containers if each[0] == "parquet"}
        if tables and tars and all(_stem(address) in tars for _, _, address in tables):
            self.containers = [each for each in self.containers if each not in tables]
            self.ignored.update({".parquet beside the .tar it describes": len(tables)})

    def _globs(self) -> list[str]:
        root = self._url.rstrip("/") if is_folder(self._url) else self._url.rpartition("/")[0]
        suffixes: dict[str, Counter[str]] = {"images": self._suffixes} if self._suffixes else {}
        for kind, name, _ in self.containers:
            suffixes.setdefault(kind, Counter())[_suffix(name)] += 1
        endings = [sorted(found) for found in suffixes.values()]
        return [
            f"{root}/**/*{each[0] if len(each) == 1 else '{' + ','.join(each) + '}'}"
            for each in endings
        ]


class _EmptyFolders:
    """Folders in which a walk found nothing: sequences without a frame."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._filled: set[str] = set()

    def add(self, found: Entry) -> None:
        """Takes note of what the walk came upon."""
        self._filled.add(found.name.rpartition("/")[0])
        if found.is_folder:
            self._folders[found.name] = found.address

    def rows(self) -> Iterator[Row]:
        """A failed row for each, because nothing else in a run would name them."""
        error = ImageError("no frame: the folder is empty, or cannot be read")
        for name, address in self._folders.items():
            if name not in self._filled:
                yield failed({"key": name, "uri": address}, "read", error)


def _stem(address: str) -> str:
    return address.removesuffix(_suffix(address))


def _suffix(name: str) -> str:
    base = PurePosixPath(name).name
    return next(
        (base[-len(s) :] for s in TAR_SUFFIXES if base.lower().endswith(s)),
        PurePosixPath(base).suffix,
    )


def _path(url: str) -> str:
    """For comparing places: absolute where it is on a disk."""
    protocol, sign, path = url.rpartition("://")
    return url if sign and protocol != "file" else os.path.abspath(path)  # noqa: PTH100


def _kind_of(name: str) -> Literal["images", "parquet", "webdataset"] | None:
    suffix = _suffix(name).lower()
    if suffix in IMAGE_SUFFIXES:
        return "images"
    if suffix in (".parquet", ".pq"):
        return "parquet"
    return "webdataset" if suffix in TAR_SUFFIXES else None
