"""Encoded images without what is not needed for their pixels.

A decoder may refuse a file for its metadata alone: text or a colour profile beyond a limit, a
checksum of a comment, a broken EXIF block. Here such a file is copied without them, for a second
try. All that changes pixels is copied as it is, damaged or not, so that damaged pixels are refused
as before. Nothing is allocated by what a header says; a copy is at most as large as the file.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

_ORIENTED_TEXT = 2**18  # bytes of text that may carry an orientation; far below decoders' limits
_TEXT_WITH_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
_PNG_COLOURS, _PNG_PALETTE = 25, 3  # offset of the colour type; palette
_WEBP_PIXELS, _WEBP_EXIF = 0x12, 0x08  # flags: alpha and animation; EXIF
_ADOBE, _JFIF = b"Adobe", b"JFIF\0"
_ADOBE_LENGTH, _JFIF_LENGTH = 12, 14  # shorter ones are ignored by decoders
# Tags that a TIFF's pixels depend on, with the orientation (274).
_TIFF_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320}
    | {322, 323, 324, 325, 332, 334, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521}
    | {529, 530, 531, 532, 50674}
)
_AVIF_METADATA = re.compile(rb"(infe\x02.{7})(?:Exif|mime)", re.DOTALL)


def without_metadata(kind: str, data: bytes, *, orientation: bool = True) -> bytes | None:
    """A file without its metadata.

    Args:
        kind: the format, as Pillow names it.
        data: the file.
        orientation: keep what may say how the image is turned.

    Returns:
        The copy, or None where there is none: the structure itself is damaged, or the format has
        nothing that could be left out.
    """
    strip = _STRIP.get(kind)
    if strip is None:
        return None
    try:
        return strip(data, orientation)
    except (struct.error, IndexError, ValueError):  # the file ends within its structure
        return None


def _png(data: bytes, orientation: bool) -> bytes | None:
    kept, names = [data[:8]], set()
    position = 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position : position + 12 + length]
        name = chunk[4:8]
        intact = chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        # Critical chunks have a capital letter; tRNS is the one other that changes pixels.
        if name[:1].isupper() or name == b"tRNS":
            if not intact:  # decoders may not look at the checksums of pixels
                return None
        elif not (orientation and intact and _png_oriented(name, chunk[8:-4])):
            position += 12 + length
            continue
        kept.append(chunk)
        names.add(name)
        position += 12 + length
    if data[_PNG_COLOURS] == _PNG_PALETTE and b"PLTE" not in names:
        return None  # a palette whose name is damaged looks like metadata
    return b"".join(kept)


def _png_oriented(name: bytes, body: bytes) -> bool:
    """Whether a chunk may carry an orientation, in no more text than decoders take."""
    if name not in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") or len(body) > _ORIENTED_TEXT:
        return False
    if name == b"eXIf":
        return True
    if not body.startswith(_TEXT_WITH_ORIENTATION):
        return False
    start = body.index(b"\0") + 2  # after the keyword comes the way of compression
    if name == b"tEXt" or (name == b"iTXt" and body[start - 1 : start] == b"\0"):
        return True
    if name == b"iTXt":  # another byte, then language and translated keyword
        start = body.index(b"\0", body.index(b"\0", start + 1) + 1) + 1
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(body[start:], _ORIENTED_TEXT)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail


def _jpeg(data: bytes, orientation: bool) -> bytes:
    kept = [data[:2]]
    position = 2
    while True:
        # As decoders do: bytes between segments are skipped up to the next marker.
        position = data.index(0xFF, position)
        marker = data[position + 1]
        if marker in (0x00, 0xFF):
            position += 1
            continue
        if marker in (0xDA, 0xD9):  # the first scan, after which there is no metadata
            return b"".join([*kept, data[position:]])
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:  # without a length
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + max(length, 2)
        body = data[position + 4 : end]
        if _jpeg_needed(marker, body, orientation):
            kept.append(data[position:end])
        position = end


def _jpeg_needed(marker: int, body: bytes, orientation: bool) -> bool:
    if marker == 0xE0:  # JFIF and Adobe say which colours are stored
        return body.startswith(_JFIF) and len(body) >= _JFIF_LENGTH
    if marker == 0xEE:
        return body.startswith(_ADOBE) and len(body) >= _ADOBE_LENGTH
    if marker == 0xE1:  # EXIF, XMP
        return orientation
    return not (0xE2 <= marker <= 0xEF or marker == 0xFE)


def _webp(data: bytes, orientation: bool) -> bytes | None:
    kept = []
    for name, chunk in riff_chunks(data):
        (length,) = struct.unpack_from("<I", chunk, 4)
        whole = len(chunk) == 8 + length + (length & 1)
        if name in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"):
            if not whole:
                return None
        elif not (name == b"EXIF" and orientation and whole):
            continue
        if name == b"VP8X":
            flags = chunk[8] & (_WEBP_PIXELS | (_WEBP_EXIF if orientation else 0))
            kept.append(chunk[:8] + bytes([flags]) + chunk[9:])
        else:
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, header and body) of each chunk of a RIFF file, the last one as far as it is there."""
    position = 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        end = position + 8 + length + (length & 1)
        yield data[position : position + 4], data[position:end]
        position = end


def _tiff(data: bytes, orientation: bool) -> bytes | None:
    """The same bytes with a shorter first directory, and no other."""
    order = "<" if data[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", data, 2)
    big = version == 43
    start = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0]
    count_code, size, next_code = ("Q", 20, "Q") if big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + count_code, data, start)
    first = start + struct.calcsize(count_code)
    if first + count * size > len(data):
        return None
    wanted = _TIFF_TAGS if orientation else _TIFF_TAGS - {274}
    entries = [data[at : at + size] for at in range(first, first + count * size, size)]
    entries = [e for e in entries if struct.unpack_from(f"{order}H", e)[0] in wanted]
    directory = struct.pack(order + count_code, len(entries)) + b"".join(entries)
    directory += struct.pack(order + next_code, 0)
    return data[:start] + directory + data[start + len(directory) :]


def _jpeg2000(data: bytes, orientation: bool) -> bytes | None:
    """Signature, type, header and code stream; a bare code stream has nothing to leave out."""
    if data[4:8] != b"jP  ":
        return None
    kept = []
    position = 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
        end = len(data) if length == 0 else position + max(length, 8)
        if name in (b"jP  ", b"ftyp", b"jp2h", b"jp2c"):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def _avif(data: bytes, orientation: bool) -> bytes:
    """EXIF and XMP are made items of an unknown kind; the orientation is a property, and stays."""
    return _AVIF_METADATA.sub(rb"\g<1>skip", data)


_STRIP: dict[str, Callable[[bytes, bool], bytes | None]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "TIFF": _tiff,
    "JPEG2000": _jpeg2000,
    "AVIF": _avif,
}
