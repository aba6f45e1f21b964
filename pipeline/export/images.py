"""The images of an export: copied upright, linked, or referred to where they are.

Readers disagree about images whose pixels are stored turned: some turn them, some do not. So copies
are upright and have no orientation that anybody could apply again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from ipseg.errors import ImageError, SourceError
from ipseg.storage.addresses import fetch
from ipseg.storage.files import filesystem, is_local, open_input
from ipseg.storage.streams import write_one
from ipseg.vision.header import Header, read_header
from ipseg.vision.images import ImageLimits, decode_oriented, encode_jpeg, encode_png
from ipseg.vision.orientation import cropped

Handling = Literal["copy", "link", "refer"]
UNREADABLE = (ImageError, SourceError, OSError)  # what keeps one image out of the export

# Formats that all readers know; others become PNG, or JPEG where they are lossy anyway.
_KEPT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
_LOSSY = ("JPEG", "WEBP", "AVIF", "HEIF")
_QUALITY = 95
_IN_CONTAINER = ("#member=", "#row=")


@dataclass(frozen=True)
class Original:
    """Where an image comes from.

    Attributes:
        uri: `ipseg.storage.addresses.fetch` reads it.
        crop: x0, y0, x1, y1 in stored pixels, None for all.
        width: pixels that the labels are for, upright.
        height: pixels.
    """

    uri: str
    crop: Sequence[int] | None
    width: int
    height: int

    @staticmethod
    def of(record: Mapping[str, Any], uri: str, details: Mapping[str, Any]) -> Original:
        """From columns of a row, the address, and what was listed of it."""
        return Original(uri, details.get("crop"), record["width"], record["height"])

    @property
    def suffix(self) -> str:
        """Ending of its name, by its address."""
        name = self.uri.partition("#")[0] if "#row=" in self.uri else self.uri
        return Path(name.rpartition("/")[2]).suffix.lower()


@dataclass(frozen=True)
class Taken:
    """An image as it goes into an export.

    Attributes:
        suffix: ending of its name there.
        data: the encoded image; None where it is linked or referred to.
        encoded_again: because its pixels were turned, cropped, or of a format few readers know.
    """

    suffix: str
    data: bytes | None
    encoded_again: bool = False


def take(original: Original, limits: ImageLimits, *, jpeg: bool) -> Taken:
    """Reads an image, upright.

    Args:
        original: where it is.
        limits: sizes that the run accepted.
        jpeg: it has to be a JPEG file.

    Raises:
        ImageError: it cannot be decoded, or has another size than its labels.
        SourceError, OSError: it cannot be read.
    """
    data = fetch(original.uri)
    try:
        header = read_header(io.BytesIO(data))
    except ImageError:  # decoding reads files with broken metadata too
        header = None
    kind = "" if header is None else header.kind
    suffix = _as_it_is(original, header)
    if suffix is not None and (suffix == ".jpg" or not jpeg):
        return Taken(suffix, data)
    whole, orientation = decode_oriented(data, limits)
    image = np.ascontiguousarray(cropped(whole, original.crop, orientation))
    _check_size(original, image.shape[1], image.shape[0])
    if jpeg or kind in _LOSSY:
        return Taken(".jpg", encode_jpeg(image, _QUALITY), True)
    return Taken(".png", encode_png(image), True)


def _as_it_is(original: Original, header: Header | None) -> str | None:
    """The ending of a file that every reader takes as it is; None for others."""
    if header is None or original.crop is not None or header.orientation != 1:
        return None
    if header.frames > 1 and header.kind != "JPEG":
        return None
    _check_size(original, header.width, header.height)
    return _KEPT.get(header.kind)


def _check_size(original: Original, width: int, height: int) -> None:
    if (width, height) != (original.width, original.height):
        raise ImageError(
            f"{original.uri} is {width}x{height} pixels, its labels are for "
            f"{original.width}x{original.height}: it was replaced since"
        )


def link(original: Original, address: str, *, jpeg: bool) -> str | None:
    """Makes a hard link to an image of a disk, at an address without ending.

    Returns:
        The ending that it got; None if it has to be copied: it is elsewhere, inside of a container,
        stored turned or cropped, or of a format that few readers know.

    Raises:
        ImageError: it has another size than its labels.
        OSError: it cannot be read.
    """
    inside = any(mark in original.uri for mark in _IN_CONTAINER)
    if inside or not (is_local(original.uri) and is_local(address)):
        return None
    try:
        with open_input(original.uri) as file:
            suffix = _as_it_is(original, read_header(file))
    except ImageError:
        return None
    if suffix is None or (jpeg and suffix != ".jpg"):
        return None
    source, target = (Path(filesystem(url)[1]) for url in (original.uri, address + suffix))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        return None
    return suffix


def refer(original: Original) -> str:
    """The ending of an image that stays where it is.

    Raises:
        ImageError: its pixels are not as its labels see them.
        SourceError, OSError: it cannot be read.
    """
    with _opened(original.uri) as file:
        header = read_header(file)
    if original.crop is not None or header.orientation != 1:
        raise ImageError(
            f"{original.uri} is stored turned or cropped, which not every reader undoes; "
            f"use --images copy"
        )
    _check_size(original, header.width, header.height)
    return original.suffix


def _opened(uri: str) -> IO[bytes]:
    """A file of which the beginning is read; what is inside of a container is read whole."""
    inside = any(mark in uri for mark in _IN_CONTAINER)
    return io.BytesIO(fetch(uri)) if inside else open_input(uri)


def place(
    original: Original, address: str, handling: Handling, limits: ImageLimits, *, jpeg: bool
) -> Taken:
    """Puts an image into an export, at an address without ending.

    Raises:
        ImageError, SourceError, OSError: as `take`, `link` and `refer`.
    """
    if handling == "refer":
        return Taken(refer(original), None)
    if handling == "link" and (suffix := link(original, address, jpeg=jpeg)) is not None:
        return Taken(suffix, None)
    taken = take(original, limits, jpeg=jpeg)
    if taken.data is not None:
        write_one(address + taken.suffix, taken.data)
    return Taken(taken.suffix, None, taken.encoded_again)
