"""Rows of a tar archive: every image in it, by the conventions of WebDataset.

A sample is what has the same name up to the first dot of its last part. Its image is the first
member with nothing but an image suffix behind that dot; further images of the sample (`1.seg.png`
beside `1.jpg`) are left out and counted. Images with dots in their names and no such sample around
them (`frame.0001.jpg`) are rows of their own.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ipseg.errors import SourceError
from ipseg.rows import Row, failed
from ipseg.storage.addresses import tar_uri
from ipseg.storage.tars import MALFORMED, follow, iterate_tar, link_target, normal
from ipseg.vision.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pipeline.sources.shard import Shard

UNREADABLE = (*MALFORMED, SourceError)
COMPANION = "image beside another of its sample"
HIDDEN = "hidden file"
WITHOUT_SUFFIX = "without a suffix"


def read_tar(shard: Shard, ignored: Counter[str]) -> Iterator[Row]:
    """The images of an archive; in a second pass links, and images with dots in their names.

    Args:
        shard: of kind "webdataset".
        ignored: takes up what is left out, by suffix or reason.

    Raises:
        as `UNREADABLE`: after all rows that can be read.
    """
    samples: dict[str, str] = {}  # sample -> extension of its image
    waiting: dict[str, str] = {}  # member -> sample, of images that are read in the second pass
    links: dict[str, str] = {}
    broken: Exception | None = None
    extension = shard.columns.image
    try:
        for info, read in iterate_tar(shard.address):
            name = normal(info.name)
            if info.issym() or info.islnk():
                links[name] = link_target(info)
            if info.isdir():
                continue
            sample, behind = _split(name)
            if any(part.startswith(".") for part in name.split("/")):
                ignored[HIDDEN] += 1
            elif not _is_image(behind, extension):
                ignored[PurePosixPath(name).suffix.lower() or WITHOUT_SUFFIX] += 1
            elif name in links or (extension is None and "." in behind):
                waiting[name] = sample
            elif samples.setdefault(sample, behind) != behind:
                ignored[COMPANION] += 1
            else:
                yield _row(shard, sample, info, read)
    except UNREADABLE as error:
        broken = error
    companions = [name for name, sample in waiting.items() if sample in samples]
    ignored.update({COMPANION: len(companions)} if companions else {})
    for name in companions:
        del waiting[name]
    yield from _second_pass(shard, waiting, links)
    if broken is not None:
        raise broken


def _second_pass(shard: Shard, waiting: dict[str, str], links: dict[str, str]) -> Iterator[Row]:
    sources: dict[str, list[str]] = {}  # member that has the data -> names of rows
    for name in waiting:
        sources.setdefault(follow(name, links), []).append(name)
    found: set[str] = set()
    try:
        for info, read in iterate_tar(shard.address) if sources else ():
            member = normal(info.name)
            if member not in sources or member in links:
                continue
            again = member in found  # a name that comes twice; links to it lead to the first
            found.add(member)
            content = cache(read)  # several links may lead to it
            for name in sources[member] if not again else {member} & set(waiting):
                yield _row(shard, _key(name, waiting[name], shard), info, content)
    except UNREADABLE as error:
        why = str(error)
    else:
        why = "the archive does not hold the file that it links to"
    for name in (n for member, names in sources.items() if member not in found for n in names):
        row = _names(shard, _key(name, waiting[name], shard), name)
        yield failed(row, "read", SourceError(f"member '{name}': {why}"))


def _row(shard: Shard, sample: str, info: tarfile.TarInfo, read: Callable[[], bytes]) -> Row:
    row = _names(shard, sample, info.name)
    if not info.isfile():
        return failed(row, "read", SourceError(f"member '{info.name}' is not a regular file"))
    return {**row, "image_bytes": read()}


def _names(shard: Shard, sample: str, member: str) -> Row:
    key = f"{shard.name}/{sample}"
    return {"key": key, "shard": shard.id, "uri": tar_uri(shard.address, member)}


def _key(name: str, sample: str, shard: Shard) -> str:
    """The sample, or the whole name without its suffix where the sample is not all of it."""
    whole = shard.columns.image is not None or "." not in _split(name)[1]
    return sample if whole else str(PurePosixPath(name).with_suffix(""))


def _split(name: str) -> tuple[str, str]:
    """(sample, what is behind the first dot of the last part)."""
    folder, slash, base = name.rpartition("/")
    stem, _, behind = base.partition(".")
    return folder + slash + stem, behind


def _is_image(behind: str, extension: str | None) -> bool:
    if extension is not None:
        return behind.lower() == extension.lower().lstrip(".")
    return f".{behind.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES
