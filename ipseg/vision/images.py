"""Decoding images to RGB pixels, and encoding them.

All images are converted to (H, W, 3) uint8 RGB, upright. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import (  # the plugins register their formats on import
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401
)
from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.vision.heif import HEIF_FORMATS, HEIF_SUFFIXES
from ipseg.vision.metadata import without_metadata
from ipseg.vision.orientation import MALFORMED, exif_orientation, turn

# Only formats of photos: Pillow's others include interpreters such as EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", *HEIF_FORMATS)
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff"}
    | {".bmp", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"}
    | HEIF_SUFFIXES
)

MAX_PIXELS = 200_000_000
_JPEG2000_END = b"\xff\xd9"  # does not occur in coded data
MaskOrientation = Literal["auto", "upright", "stored"]


@dataclass(frozen=True)
class ImageLimits:
    """Accepted image sizes, checked on the header, and how masks lie on images.

    Attributes:
        min_side: minimum of the shorter side, pixels; at least 1. Smaller images cannot be matched.
        max_aspect: maximum of longer side / shorter side, at least 1. Beyond it, grids have empty
            cells.
        max_pixels: maximum of width x height, at least 1. A small file can claim a huge image (a
            decompression bomb); 200 million pixels decode to 600 MB.
        mask_orientation: whether masks fit images as they are seen ("upright") or as their pixels
            are stored, before EXIF orientation turns them ("stored"). "auto" goes by the size, and
            refuses a mask where that leaves both possible.
    """

    min_side: int = 16
    max_aspect: float = 50.0
    max_pixels: int = MAX_PIXELS
    mask_orientation: MaskOrientation = "auto"

    def __post_init__(self) -> None:
        if self.min_side < 1 or self.max_aspect < 1 or self.max_pixels < 1:
            raise ValueError("min_side, max_aspect and max_pixels must be at least 1")

    def check(self, width: int, height: int) -> None:
        """Raises ImageError, with size and setting, if the size is not accepted."""
        size = f"the image is {width}x{height} pixels"
        if width * height > self.max_pixels:
            raise ImageError(f"{size}, more than images.max_pixels = {self.max_pixels:,}")
        if min(width, height) < self.min_side:
            raise ImageError(f"{size}, its short side is below images.min_side = {self.min_side}")
        if max(width, height) > self.max_aspect * min(width, height):
            raise ImageError(f"{size}, longer than images.max_aspect = {self.max_aspect:g} : 1")


@dataclass(frozen=True)
class Opened:
    """The first image of a file, decoded.

    Attributes:
        image: in its stored mode.
        orientation: EXIF orientation of the stored pixels, 1 to 8; 1 is upright.
        is_upright: whether the image was turned already (Pillow turns TIFF).
    """

    image: PillowImage.Image
    orientation: int
    is_upright: bool

    def upright(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Pixels of the image, (H, W, ...), turned as its orientation says; may be a view."""
        return pixels if self.is_upright else turn(pixels, self.orientation)


def decode(data: bytes, limits: ImageLimits = ImageLimits()) -> npt.NDArray[np.uint8]:
    """Decodes one image.

    * EXIF orientation is applied; damaged EXIF is ignored.
    * Where a decoder refuses a file for its metadata (text or profiles beyond a limit, wrong
      checksums of chunks that change no pixel, broken APPn segments), it is read without them.
    * Transparent images are composited onto white.
    * 16-bit grey (12-bit in TIFF) is scaled by its bit depth: 65535 becomes 255. Floats, 32-bit
      and signed integers have no defined white: they are scaled from their smallest to their
      largest finite value.
    * 16-bit colour keeps its upper 8 bits, as read by Pillow.
    * Of an animation or a multi-page file, the first image is decoded.

    Args:
        data: an encoded image in one of `FORMATS`.
        limits: sizes to accept.

    Returns:
        (H, W, 3) uint8 RGB, contiguous and writable.

    Raises:
        ImageError: not an image, a damaged or truncated one, or one out of limits. Truncated
            images are refused because their missing part would be filled with grey.
    """
    return decode_oriented(data, limits)[0]


def decode_oriented(
    data: bytes, limits: ImageLimits = ImageLimits()
) -> tuple[npt.NDArray[np.uint8], int]:
    """As `decode`, with the EXIF orientation (1 to 8) that the pixels were stored in."""
    opened = open_image(data, limits)
    return np.ascontiguousarray(opened.upright(_to_rgb(opened.image))), opened.orientation


def open_image(data: bytes, limits: ImageLimits, formats: Sequence[str] = FORMATS) -> Opened:
    """Decodes the first image of a file in its stored mode.

    Args:
        data: the encoded image.
        limits: sizes to accept.
        formats: those of `FORMATS` to accept.

    Raises:
        ImageError: see `decode`.
    """
    if not data:
        raise ImageError("the file is empty (0 bytes)")
    kind = _recognise(data, formats)
    try:
        return _opened(kind, data, limits)
    except ImageError:
        for orientation in (True, False):
            copy = without_metadata(kind, data, orientation=orientation)
            if copy not in (None, data):
                with suppress(ImageError):  # the first error is the one of the file
                    return _opened(kind, copy, limits)
        raise


def _opened(kind: str, data: bytes, limits: ImageLimits) -> Opened:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on EXIF, metadata and size; limits are checked below
        try:
            # Not Image.open, which has its own size limit, global to the process.
            image = PillowImage.OPEN[kind][0](io.BytesIO(data), "")
        except MALFORMED as error:
            raise ImageError(f"the {kind} header is damaged or truncated: {_why(error)}") from error
        limits.check(*image.size)
        turned = exif_orientation(image) if kind == "TIFF" else 1  # Pillow turns it in `load`
        try:
            image.load()
        except MALFORMED as error:
            raise ImageError(f"the {kind} data is damaged or truncated: {_why(error)}") from error
        if kind == "JPEG2000" and _JPEG2000_END not in data:  # missing tiles are decoded as grey
            raise ImageError("the JPEG2000 data is truncated: it has no end marker")
        left = exif_orientation(image)
    return Opened(image, turned if left == 1 else left, left == 1)


def encode_jpeg(image: npt.NDArray[np.uint8], quality: int = 90) -> bytes:
    """JPEG file of an (H, W, 3) RGB or (H, W) grey image; quality from 1 to 95."""
    return _encode(image, "JPEG", quality=quality, optimize=True)


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """PNG file of an (H, W, 3) RGB or (H, W) grey image."""
    return _encode(image, "PNG")


def encode_film(
    images: Sequence[npt.NDArray[np.uint8]], seconds: float, quality: int = 60
) -> bytes:
    """An animated WebP file that plays again and again.

    Args:
        images: (H, W, 3) RGB, at least one, all of one size.
        seconds: for which each stands.
        quality: from 1 to 100.
    """
    first, *others = map(PillowImage.fromarray, images)
    buffer = io.BytesIO()
    options = {"duration": round(1000 * seconds), "loop": 0, "quality": quality}
    first.save(buffer, "WEBP", save_all=True, append_images=others, **options)
    return buffer.getvalue()


def thumbnail(image: npt.NDArray[np.uint8], long_side: int) -> npt.NDArray[np.uint8]:
    """A copy of (H, W, 3) with a longer side of at most `long_side` pixels; not enlarged."""
    small = PillowImage.fromarray(image)
    small.thumbnail((long_side, long_side), PillowImage.Resampling.LANCZOS)
    return np.array(small)


def _recognise(data: bytes, formats: Sequence[str]) -> str:
    prefix = data[:16]
    for kind in formats:
        accept = PillowImage.OPEN[kind][1]
        if accept is not None and accept(prefix) is True:
            return kind
    known = "any known format" if formats == FORMATS else " or ".join(formats)
    raise ImageError(f"not an image in {known}; it starts with {prefix!r}")


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _to_rgb(image: PillowImage.Image) -> npt.NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        return np.repeat(_deep_grey(image)[:, :, None], 3, axis=2)
    try:
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            white = PillowImage.new("RGBA", layer.size, "white")
            return np.array(PillowImage.alpha_composite(white, layer).convert("RGB"))
        return np.array(image.convert("RGB"))
    except MALFORMED as error:
        raise ImageError(f"{image.mode} colours cannot be converted to RGB: {error}") from error


def _deep_grey(image: PillowImage.Image) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 from a grey image with more than 8 bits."""
    values: npt.NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I;16") or image.format == "PPM":  # PPM is scaled to 16 bits
        bits = 16
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            bits = image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0]
        white = 2**bits - 1
        levels = (values.astype(np.uint32) * 255 + white // 2) // white
        return np.asarray(levels, dtype=np.uint8)
    finite = np.isfinite(values)
    if not finite.any():
        raise ImageError("the image has no finite value")
    with np.errstate(invalid="ignore"):  # signalling NaNs
        real = values.astype(np.float64)
    low, high = real[finite].min(), real[finite].max()
    gain = 255 / (high - low) if high > low else 0.0
    return np.round(np.where(finite, real - low, 0) * gain).astype(np.uint8)


def _encode(image: npt.NDArray[np.uint8], kind: str, **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()
