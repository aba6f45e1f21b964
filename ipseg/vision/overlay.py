"""Masks, points and labels drawn on an image, and contact sheets."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from ipseg.rows import Image, Mask

Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Okabe & Ito, "Color Universal Design" (2008), ordered so that neighbours differ most; without
# black and white, which contours and rims use.
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)
GREEN: Colour = (0, 170, 60)
RED: Colour = (220, 40, 30)
WHITE: Colour = (255, 255, 255)
WARNING: Colour = (190, 60, 0)
_DIMMED = 0.3  # brightness of pixels outside of an object
_PAPER: Colour = (250, 250, 250)
_INK: Colour = (30, 30, 30)
_FAINT: Colour = (105, 105, 105)


@dataclass(frozen=True)
class Drawn:
    """One object to draw.

    Attributes:
        colour: (r, g, b), 0 to 255.
        mask: (H, W) bool, or None.
        points: (n, 3) x, y in pixels and label, 1 positive and 0 negative; may be empty.
        label: text next to the object; may be empty.
    """

    colour: Colour
    mask: Mask | None = None
    points: npt.NDArray[np.floating[Any]] = field(default_factory=lambda: np.zeros((0, 3)))
    label: str = ""


@dataclass(frozen=True)
class Tile:
    """One image of a contact sheet.

    Attributes:
        image: (H, W, 3) uint8.
        caption: line below it, shortened to fit; may be empty.
        warning: up to three lines in a warning colour, with a frame; may be empty.
        note: up to two lines below the caption; may be empty.
    """

    image: Image
    caption: str
    warning: str = ""
    note: str = ""


def colour_of(index: int) -> Colour:
    """The colour of the index-th concept (colour-blind safe); repeats after seven."""
    return COLOURS[index % len(COLOURS)]


def draw(image: Image, objects: Sequence[Drawn], *, fill: float = 0.45) -> Image:
    """Draws objects on a copy of an image.

    Masks are filled with translucent colour inside a crisp contour, points are discs with a white
    rim (green positive, red negative). Line and text sizes follow the size of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        objects: drawn in order; points and labels are above all masks.
        fill: opacity of the fill, 0 (contour only) to 1.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    unit = max(1.0, (height * width) ** 0.5 / 400)  # one "line width" in pixels
    canvas = image.copy()
    for each in objects:
        if each.mask is not None and each.mask.any():
            canvas = _paint(canvas, each.mask, each.colour, fill, unit)
    for each in objects:
        for x, y, label in each.points:
            _disc(canvas, float(x), float(y), 3.2 * unit, GREEN if label == 1 else RED)
    drawing = PillowImage.fromarray(canvas)
    pen = ImageDraw.Draw(drawing)
    taken: list[tuple[float, float, float, float]] = []
    for each in objects:
        if each.label:
            _tag(pen, each, drawing.size, unit, taken)
    return np.array(drawing)


def isolate(image: Image, mask: Mask, colour: Colour) -> Image:
    """A copy of an image, dimmed outside of an (H, W) mask, with the contour of the mask."""
    dimmed = np.where(mask[..., None], image, np.round(_DIMMED * image)).astype(np.uint8)
    return draw(dimmed, [Drawn(colour, mask)], fill=0.0)


def grid(tiles: Sequence[Tile], columns: int = 4, tile: int = 240) -> Image:
    """A contact sheet: images in rows, each with its caption below.

    Args:
        tiles: at least one.
        columns: images in a row; with fewer images the sheet is narrower.
        tile: pixels of the square that each image is fitted into.

    Returns:
        (H, W, 3) uint8.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(tiles))
    gap = max(8, tile // 20)
    rows = [
        _row(tiles[start : start + columns], columns, tile, gap)
        for start in range(0, len(tiles), columns)
    ]
    margin = np.full((gap, rows[0].shape[1], 3), _PAPER, np.uint8)
    return np.concatenate([margin, *rows])


def _row(tiles: Sequence[Tile], columns: int, tile: int, gap: int) -> Image:
    """One row of a contact sheet, as high as its images and captions."""
    text_size = max(11.0, tile / 16)
    font = ImageFont.load_default(text_size)
    line = round(text_size * 1.3)
    images = [_fitted(each.image, tile) for each in tiles]
    texts = [
        [(text, _INK) for text in _wrap(each.caption, font, tile, 1)]
        + [(text, _FAINT) for text in _wrap(each.note, font, tile, 2)]
        + [(text, WARNING) for text in _wrap(each.warning, font, tile, 3)]
        for each in tiles
    ]
    below = max(image.height for image in images)
    height = below + gap // 2 + max(len(lines) for lines in texts) * line + gap
    row = PillowImage.new("RGB", (columns * (tile + gap) + gap, height), _PAPER)
    pen = ImageDraw.Draw(row)
    for index, (each, image, lines) in enumerate(zip(tiles, images, texts, strict=True)):
        middle = gap + index * (tile + gap) + tile // 2
        left, top = middle - image.width // 2, below - image.height
        row.paste(image, (left, top))
        if each.warning:
            frame = (left, top, left + image.width - 1, top + image.height - 1)
            pen.rectangle(frame, outline=WARNING, width=3)
        for number, (text, ink) in enumerate(lines):
            at = (middle, below + gap // 2 + number * line)
            pen.text(at, text, fill=ink, font=font, anchor="ma")
    return np.array(row)


def _fitted(image: Image, side: int) -> PillowImage.Image:
    original = PillowImage.fromarray(image)
    scale = side / max(original.size)
    size = (max(1, round(original.width * scale)), max(1, round(original.height * scale)))
    return original.resize(size, PillowImage.Resampling.LANCZOS)


def _paint(canvas: Image, mask: Mask, colour: Colour, fill: float, unit: float) -> Image:
    result = canvas.copy()
    tinted = (1 - fill) * canvas[mask] + fill * np.asarray(colour)
    result[mask] = np.round(tinted).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A dark line below the coloured one makes the contour visible on the same colour.
    cv2.drawContours(result, contours, -1, (20, 20, 20), round(2.6 * unit) + 1, cv2.LINE_AA)
    cv2.drawContours(result, contours, -1, colour, max(1, round(1.5 * unit)), cv2.LINE_AA)
    return result


def _disc(canvas: Image, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draws in place, with OpenCV's sub-pixel positions (its pixel centres are integers)."""
    shift = 4
    centre = (round((x - 0.5) * 2**shift), round((y - 0.5) * 2**shift))
    for scale, paint in ((1.45, (20, 20, 20)), (1.3, WHITE), (0.95, colour)):
        reach = round(radius * scale * 2**shift)
        cv2.circle(canvas, centre, reach, paint, cv2.FILLED, cv2.LINE_AA, shift)


def _tag(
    pen: ImageDraw.ImageDraw,
    each: Drawn,
    size: tuple[int, int],
    unit: float,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Draws a label at the top left of the object, in a box of its colour, without overlaps."""
    text_size = max(11.0, 9 * unit)
    font = ImageFont.load_default(text_size)
    pad = round(3 * unit)
    text = _cut(_ascii(each.label), font, size[0] - 2 * pad)
    width = font.getlength(text) + 2 * pad
    height = round(text_size * 1.25) + pad
    x, y = 0.0, 0.0
    if each.mask is not None and each.mask.any():
        x = float(each.mask.any(axis=0).argmax())
        y = float(each.mask.any(axis=1).argmax()) - height
    elif len(each.points):
        x, y = each.points[:, 0].min(), each.points[:, 1].min() - height - 6 * unit
    x = min(max(x, 0.0), max(0.0, size[0] - width))
    y = min(max(y, 0.0), max(0.0, size[1] - height))
    while (
        any(x < r and left < x + width and y < b and top < y + height for left, top, r, b in taken)
        and y + 2 * height <= size[1]
    ):
        y += height
    box = (x, y, x + width, y + height)
    taken.append(box)
    ink = _INK if np.dot(each.colour, (0.299, 0.587, 0.114)) > 120 else WHITE
    pen.rounded_rectangle(box, radius=pad, fill=each.colour, outline=(20, 20, 20))
    pen.text((x + pad, y + height / 2), text, fill=ink, font=font, anchor="lm")


def _ascii(text: str) -> str:
    """The text in ASCII, for Pillow's built-in font: without accents, other characters as '?'."""
    letters = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    ascii_only = "".join(c if c.isascii() else "?" for c in letters)
    return " ".join("".join(c if c.isprintable() else " " for c in ascii_only).split())


def _wrap(text: str, font: _Font, width: float, lines: int) -> list[str]:
    """ASCII text on at most so many lines of this width; the last one is cut with '...'."""
    wrapped: list[str] = []
    words = _ascii(text).split()
    while words and len(wrapped) < lines - 1:
        count = len(words)
        while count > 1 and font.getlength(" ".join(words[:count])) > width:
            count -= 1
        wrapped.append(_cut(" ".join(words[:count]), font, width))
        words = words[count:]
    return [*wrapped, _cut(" ".join(words), font, width)] if words else wrapped


def _cut(text: str, font: _Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    sizes = range(1, len(text))
    kept = bisect_right(sizes, width, key=lambda n: font.getlength(text[:n] + "..."))
    return text[:kept] + "..."
