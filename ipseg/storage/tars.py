"""Members of a tar archive, in order, with nothing left out silently.

`tarfile` takes a damaged header in the middle for the end of the archive, as it does the end of a
file that was cut off between two members, and never looks behind the first end mark. Here each of
them is an error, and archives that were joined (`cat a.tar b.tar`) are read one after the other.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, cast

import pyarrow as pa

from ipseg.errors import SourceError
from ipseg.storage.files import open_input

Member = tuple[tarfile.TarInfo, Callable[[], bytes]]

TAR_SUFFIXES = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
    *(".tar.zst", ".tzst"),
)
# What readers of archives raise for malformed data.
MALFORMED = (
    *(tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error),
    *(ValueError, OverflowError),
)

_BLOCK = tarfile.BLOCKSIZE
_READ = 2**20  # bytes asked for at a time: a header may claim any size
_HOPS = 16  # links to links


def iterate_tar(address: str) -> Iterator[Member]:
    """Each member of an archive, or of several in one file, with a function that reads its bytes.

    Args:
        address: of the file; plain, or compressed by gzip, bzip2, xz or zstd, whatever its name.

    Yields:
        (header, read): `read` is only good until the next member is asked for.

    Raises:
        SourceError: the file has a part that is no archive, or ends too early.
        OSError, tarfile.TarError, EOFError, lzma.LZMAError, zlib.error: it cannot be read.
    """
    with open_input(address) as handle:
        stream = _Forward(_decompressed(handle))
        while True:
            start = stream.tell()
            with tarfile.TarFile(fileobj=cast(IO[bytes], stream)) as archive:
                # Opening it has read one header already, or found that there is none.
                info = archive.firstmember and archive.next()  # type: ignore[attr-defined]
                while info is not None:
                    # It would remember every header.
                    archive.members.clear()  # type: ignore[attr-defined]
                    yield info, partial(_content, archive, info)
                    info = archive.next()
                end = archive.offset
            if end == start > 0:
                raise SourceError(
                    f"{address}: what follows the archive at byte {end} is no archive"
                )
            if len(stream.last) < _BLOCK:
                raise SourceError(f"{address} ends at byte {end} without an end mark: is it whole?")
            if stream.last.strip(b"\0"):
                raise SourceError(
                    f"{address} is damaged: there is no valid header at byte {end}, and what "
                    f"follows cannot be read"
                )
            while stream.read(_BLOCK) and not stream.last.strip(b"\0"):
                pass
            if not stream.last:
                return
            stream.unread()


def link_target(info: tarfile.TarInfo) -> str:
    """Name of the member that a link points to; those of symbolic links begin at its folder."""
    if info.issym():
        return normal(posixpath.join(posixpath.dirname(info.name), info.linkname))
    return normal(info.linkname)


def follow(name: str, links: dict[str, str]) -> str:
    """Name of the member at the end of a chain of links; itself a link where they go in circles."""
    for _ in range(_HOPS):
        if name not in links:
            break
        name = links[name]
    return name


def read_member(address: str, name: str) -> bytes:
    """One member, or what it links to.

    Raises:
        SourceError: there is none; or as `iterate_tar`.
    """
    wanted, links = name, dict[str, str]()
    for _ in range(_HOPS):
        for info, read in iterate_tar(address):
            if info.isfile() and wanted in (info.name, normal(info.name)):
                return read()
            if info.issym() or info.islnk():
                links[normal(info.name)] = link_target(info)
        target = follow(normal(wanted), links)
        if target == wanted:
            break
        wanted = target
    raise SourceError(f"{address}: no member '{name}'")


def normal(name: str) -> str:
    """A name without leading './' and the like."""
    return posixpath.normpath(name)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(info)
    if content is None:
        raise SourceError(f"member '{info.name}' has no data of its own")
    with content:
        return _whole(content, info.size)


def _whole(stream: IO[bytes], size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := stream.read(min(size, _READ))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _decompressed(handle: IO[bytes]) -> IO[bytes]:
    start = handle.read(6)
    handle.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=handle))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(handle)
    if start == b"\xfd7zXZ\0":
        return lzma.LZMAFile(handle)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return pa.CompressedInputStream(handle, "zstd")
    return handle


class _Forward:
    """A stream that is read once, in pieces: reading never allocates more than there is.

    Attributes:
        last: what the last call of `read` returned.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._position = 0
        self._again = b""
        self.last = b""

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        again, self._again = self._again[:size], self._again[size:]
        self.last = again + _whole(self._stream, size - len(again))
        self._position += len(self.last)
        return self.last

    def unread(self) -> None:
        """The last read is read again."""
        self._again = self.last + self._again
        self._position -= len(self.last)

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("the archive goes back, which a stream cannot")
        left = position - self._position
        self._position = position
        left -= len(self._again)
        if left < 0:
            self._again = self._again[left:]
            return
        self._again = b""
        if self._stream.seekable():
            self._stream.seek(left, 1)
            return
        while left > 0 and (piece := self._stream.read(min(left, _READ))):
            left -= len(piece)
