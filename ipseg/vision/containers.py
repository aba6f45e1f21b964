"""Whether the container of a video ends before it says that it does.

FFmpeg reads a file that was cut off up to its end without an error. But MP4, Matroska and AVI write
down how long their parts are. Sources: ISO/IEC 14496-12, RFC 8794 and 9559, Microsoft's RIFF.
"""

from __future__ import annotations

import os
from typing import IO

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
# Of MP4; others can be anything that was appended.
_PARTS = frozenset({b"ftyp", b"moov", b"moof", b"mdat"})
_HEADER = 4096  # bytes; that of EBML has about 40


def missing_bytes(file: IO[bytes]) -> int:
    """How many bytes a video file lacks at its end, by its own account.

    Args:
        file: seekable; is left anywhere.

    Returns:
        0 if it is complete, or if it does not say how long it is, as a file that was written to a
        pipe, or one of another format.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4)
    if head == _EBML:
        end = _end_of_matroska(file)
    elif head == b"RIFF":
        # Without the 8 bytes of the header, which some writers count and some do not.
        end = int.from_bytes(file.read(4), "little")
        end = 0 if end == 2**32 - 1 else end  # not known when it was written
    else:
        end = _end_of_boxes(file, size)
    return max(0, end - size)


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if header[4:8] not in _PARTS and end + length > size:
            return end
        if length < 8:  # 0: up to the end of the file
            return end
        end += length
    return end


def _end_of_matroska(file: IO[bytes]) -> int:
    file.read(min(_length(file), _HEADER))
    if file.read(4) != _SEGMENT:
        return 0
    length = _length(file)
    return file.tell() + length if length else 0


def _length(file: IO[bytes]) -> int:
    """Of an element; 0 if it is not known: 1 to 8 bytes, as many as the first bit that is set says.

    All further bits are set where the length was not known when it was written.
    """
    first = file.read(1)
    more = 8 - int.from_bytes(first, "big").bit_length()
    unknown = (1 << 7 * (more + 1)) - 1
    length = int.from_bytes(first + file.read(more), "big") & unknown
    return 0 if length == unknown else length
