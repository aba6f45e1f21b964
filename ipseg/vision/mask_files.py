"""The one reader of mask files: of prompts, of ground truth, of every benchmark.

A mask says of each pixel whether it is object; a label map, which class or object it is. Formats
without loss are read: PNG, TIFF, BMP, GIF and lossless WebP; lossy ones change zeros around every
outline and are refused. What a file says can be ambiguous, and is then refused with the reason:

* Grey (1 to 16 bits): every non-zero pixel is object.
* Palette: the index counts, and 0 is background. Refused where index 0 is drawn white and another
  one black, because then colours say the opposite. An index that is transparent is background.
* Colour (8 bits): every pixel that is not black is object, so colours may be ids. Refused with
  more than 256 colours: that is a photo, whose black parts look like background.
* Alpha that is the same everywhere says nothing: colours decide. Alpha that varies: transparent
  pixels (below 128) are background. Of the opaque ones, black pixels beside one other colour are
  background too (a mask that was drawn, with transparent padding); in an object that was cut out,
  black belongs to the object. In between, the two readings differ, and the file is refused.
* 16-bit colour, floating point, several pages or frames: refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from ipseg.errors import ImageError
from ipseg.rows import Mask
from ipseg.vision.images import MAX_PIXELS, ImageLimits, Opened, open_image
from ipseg.vision.metadata import riff_chunks
from ipseg.vision.orientation import MALFORMED

FORMATS = ("PNG", "TIFF", "BMP", "GIF", "WEBP")
_LOSSY = ("JPEG", "AVIF", "JPEG2000")
_LOSSLESS_TIFF = (
    *("raw", "packbits", "tiff_ccitt", "group3", "group4", "tiff_raw_16", "tiff_lzw"),
    *("tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd"),
)
_ADVICE = "save it as a grey PNG, 0 where there is no object"
_GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L")
_PNG_DEPTH = 24  # offset of the bit depth
_OPAQUE = 128  # alpha from here on
_MAX_COLOURS = 256  # that a drawn mask has, smoothed outlines included
_DRAWN, _CUT_OUT = 0.9, 0.5  # share of an opaque part that black and one other colour cover
_MIDDLE = (64, 191)  # levels at which the smear of lossy formats does not matter
_AT_ONCE = 2**20  # pixels


def read_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> Mask:
    """Reads a mask file.

    Args:
        data: the file.
        max_pixels: of width x height, checked on the header.

    Returns:
        (H, W) bool, upright by the file's own EXIF orientation, like images from `decode`.

    Raises:
        ImageError: it is damaged, of a lossy or unknown format, or ambiguous; says what to do.
    """
    opened = _open(data, max_pixels)
    image = opened.image
    if image.mode in _GREY:
        _check_colour_key(opened)
        mask = np.asarray(image) != 0
    elif image.mode == "P":
        mask = _from_palette(opened)
    elif image.mode in ("RGB", "RGBA", "LA", "PA"):
        _check_depth(data, opened)
        _check_colour_key(opened)
        mask = _from_colours(opened)
    else:
        raise ImageError(f"a mask cannot have pixels of mode {image.mode}; {_ADVICE}")
    return np.ascontiguousarray(opened.upright(mask))


def read_labels(data: bytes, max_pixels: int = MAX_PIXELS) -> npt.NDArray[Any]:
    """Reads a label map: palette indices of a palette image, else grey values.

    Arguments as for `read_mask`.

    Returns:
        (H, W) unsigned or signed integers; of a 1-bit file 0 and 1.

    Raises:
        ImageError: as `read_mask`, or it has colours or transparency, which are no numbers.
    """
    opened = _open(data, max_pixels)
    mode = opened.image.mode
    if mode not in (*_GREY, "P"):
        raise ImageError(
            f"it is an image of mode {mode}, not a label map: colours are no numbers; save the "
            f"numbers as a grey or palette PNG"
        )
    if mode != "P":
        _check_colour_key(opened)
    labels: npt.NDArray[Any] = np.asarray(opened.image)
    if labels.dtype == np.bool_:
        labels = labels.astype(np.uint8)
    elif mode == "L" and opened.image.format == "PNG" and data[_PNG_DEPTH] < 8:
        labels = labels // (255 // (2 ** data[_PNG_DEPTH] - 1))  # Pillow spreads 2 and 4 bits to 8
    return np.ascontiguousarray(opened.upright(labels))


def read_levels(data: bytes, level: int, max_pixels: int = MAX_PIXELS) -> Mask:
    """Where a grey level (of colours their brightness, of a palette the index) is above a number.

    A level in the middle, as FSS-1000 has it, is far from the smear of lossy formats, and so they
    are read; there, JPEGs are named .png.

    Args:
        data: the file.
        level: 0 to 254.
        max_pixels: as for `read_mask`.

    Returns:
        (H, W) bool; where alpha varies, transparent pixels are below every level.

    Raises:
        ImageError: as `read_mask`.
    """
    opened = _open(data, max_pixels, lossy=_MIDDLE[0] <= level <= _MIDDLE[1])
    image = opened.image
    if image.mode.startswith(("I", "F")):
        raise ImageError(f"levels are of 8 bits, not of mode {image.mode}; {_ADVICE}")
    above = np.asarray(image if image.mode == "P" else image.convert("L")) > level
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() != alpha.max():
            above &= alpha >= _OPAQUE
    return np.ascontiguousarray(opened.upright(above))


def _open(data: bytes, max_pixels: int, *, lossy: bool = False) -> Opened:
    limits = ImageLimits(min_side=1, max_aspect=float("inf"), max_pixels=max_pixels)
    opened = open_image(data, limits, (*FORMATS, *_LOSSY))
    image = opened.image
    try:
        frames = getattr(image, "n_frames", 1)
    except MALFORMED as error:
        raise ImageError(f"what follows its first frame is damaged: {error}") from error
    if frames > 1:
        raise ImageError(f"it has {frames} pages or frames; {_ADVICE}")
    if not lossy and _is_lossy(data, opened):
        raise ImageError(
            f"it is a lossy {image.format}, whatever its name says: zeros around outlines are "
            f"changed; {_ADVICE}"
        )
    return opened


def _is_lossy(data: bytes, opened: Opened) -> bool:
    kind = opened.image.format
    if kind == "WEBP":
        return any(name in (b"VP8 ", b"ANMF") for name, _ in riff_chunks(data))
    if kind == "TIFF":
        return opened.image.info.get("compression", "raw") not in _LOSSLESS_TIFF
    return kind not in FORMATS


def _check_depth(data: bytes, opened: Opened) -> None:
    """Pillow drops the lower 8 bits of 16-bit colours."""
    image = opened.image
    bits = 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,)))
    elif image.format == "PNG":
        bits = data[_PNG_DEPTH]
    if bits > 8:
        raise ImageError(f"the mask has {bits}-bit colours; {_ADVICE}")


def _check_colour_key(opened: Opened) -> None:
    """A grey level or colour may be declared transparent; black is background in any case."""
    key = opened.image.info.get("transparency")
    if key is None or opened.image.mode not in (*_GREY, "RGB"):
        return
    pixels = np.asarray(opened.image)
    same = pixels == np.asarray(key)
    if np.any(key) and (same.all(axis=2) if same.ndim == 3 else same).any():
        raise ImageError(f"its colour {key} is object by its value and transparent; {_ADVICE}")


def _from_palette(opened: Opened) -> Mask:
    image = opened.image
    indices: npt.NDArray[np.uint8] = np.asarray(image)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    entries = np.zeros((256, 4), np.uint8)
    known = np.frombuffer(image.im.getpalette("RGBA", "RGBA"), np.uint8).reshape(-1, 4)
    entries[: len(known)] = known
    if "transparency" in image.info:
        entries[:, 3] = _palette_alpha(image.info["transparency"])
        clear = [int(index) for index in used if entries[index, 3] < _OPAQUE]
        if clear and clear != [0]:
            return _from_colours(opened)
    black = [int(index) for index in used if not entries[index, :3].any()]
    if used[0] == 0 and 0 not in black and (black or (len(used) == 1 and entries[0, :3].all())):
        drawn = "#" + entries[0, :3].tobytes().hex()
        raise ImageError(
            f"index 0 of its palette, which is background, is drawn {drawn}"
            + (f", and index {black[0]} black" if black else ", and there is no other")
            + f": what is object cannot be known; {_ADVICE}"
        )
    return indices != 0


def _palette_alpha(transparency: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401  (Pillow's)
    """(256,) alpha by index, of one transparent index or of a list of alphas."""
    alpha = np.full(256, 255, np.uint8)
    if isinstance(transparency, int):
        alpha[transparency : transparency + 1] = 0
    else:
        listed = np.frombuffer(bytes(transparency)[:256], np.uint8)
        alpha[: len(listed)] = listed
    return alpha


def _from_colours(opened: Opened) -> Mask:
    """By colours and alpha of an image in RGB, RGBA, LA, PA, or P with transparency."""
    image = opened.image if opened.image.mode == "RGB" else opened.image.convert("RGBA")
    pixels: npt.NDArray[np.uint8] = np.asarray(image)
    coloured: Mask = np.asarray(pixels[..., :3].any(axis=2))
    if image.mode == "RGB" or bool((pixels[..., 3] == pixels[0, 0, 3]).all()):
        if image.mode == "RGBA" and not pixels[0, 0, 3] and coloured.any():
            raise ImageError(f"all of it is transparent, but not all is black; {_ADVICE}")
        number = len(_colours(pixels, coloured))
        if number >= _MAX_COLOURS:
            raise ImageError(
                f"it has {number + 1:,} colours, so it is a photo and no mask: black in the object "
                f"cannot be distinguished from background; {_ADVICE}"
            )
        return coloured
    opaque: Mask = pixels[..., 3] >= _OPAQUE
    inside = int(np.count_nonzero(opaque))
    black = int(np.count_nonzero(opaque & ~coloured))
    if black in (0, inside):  # no black in the object, or a silhouette
        return opaque
    counts = _colours(pixels, opaque & coloured)
    covered = (black + int(counts.max())) / inside
    if covered >= _DRAWN:
        return opaque & coloured
    if covered < _CUT_OUT and len(counts) > _MAX_COLOURS // 4:
        return opaque
    raise ImageError(
        f"{black:,} of its {inside:,} opaque pixels are black: whether they are object cannot be "
        f"known; {_ADVICE}"
    )


def _colours(pixels: npt.NDArray[np.uint8], where: Mask) -> npt.NDArray[np.int64]:
    """How often each colour of (H, W, 3 or more) pixels occurs at some of them."""
    values, counts = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    step = max(1, _AT_ONCE // pixels.shape[1])
    for top in range(0, len(pixels), step):  # in bands, to need little memory
        band = pixels[top : top + step][where[top : top + step]].astype(np.int32)
        packed = band[:, 0] << 16 | band[:, 1] << 8 | band[:, 2]
        value, count = np.unique(packed, return_counts=True)
        values.append(value)
        counts.append(count)
    _, place = np.unique(np.concatenate(values), return_inverse=True)
    return np.bincount(place, np.concatenate(counts)).astype(np.int64)
