"""What the beginning of an image file says, without decoding its pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import IO

from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.vision.images import FORMATS
from ipseg.vision.orientation import MALFORMED, exif_orientation

_TURNED_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """The header of an image.

    Attributes:
        kind: one of `FORMATS`.
        width: pixels, upright.
        height: pixels, upright.
        orientation: EXIF orientation of the stored pixels, 1 (upright) to 8.
        frames: images in the file.
    """

    kind: str
    width: int
    height: int
    orientation: int
    frames: int


def read_header(file: IO[bytes]) -> Header:
    """The header of an image file, read from its beginning.

    Raises:
        ImageError: it is none that can be read; decoding the whole file may still succeed.
    """
    prefix = file.read(16)
    file.seek(0)
    for kind in FORMATS:
        factory, accept = PillowImage.OPEN[kind]
        if accept is not None and accept(prefix) is True:
            break
    else:
        raise ImageError(f"not an image in any known format; it starts with {prefix!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on EXIF and metadata
        try:
            image = factory(file, "")
            orientation = exif_orientation(image)
            frames = int(getattr(image, "n_frames", 1))
        except MALFORMED as error:
            raise ImageError(f"the {kind} header is damaged: {error}") from error
    width, height = image.size
    if orientation in _TURNED_SIDEWAYS:
        width, height = height, width
    return Header(kind, width, height, orientation, frames)
