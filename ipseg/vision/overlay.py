"""Pictures for people: masks, points and labels drawn on an image, and contact sheets."""

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

# Okabe & Ito, "Color Universal Design" (2008), in an order that sets neighbours far apart; black
# and white are left out because contours and rims use them.
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
_DIMMED = 0.3  # brightness that is left of what does not belong to an object
_PAPER: Colour = (250, 250, 250)
_INK: Colour = (30, 30, 30)


@dataclass(frozen=True)
class Drawn:
    """One object to draw.

    Attributes:
        colour: (r, g, b), 0 to 255.
        mask: (H, W) bool, None for nothing to fill.
        points: (n, 3) x, y in pixels and label, 1 positive and 0 negative; may be empty.
        label: text beside the object; empty for none.
    """

    colour: Colour
    mask: Mask | None = None
    points: npt.NDArray[np.floating[Any]] = field(default_factory=lambda: np.zeros((0, 3)))
    label: str = ""


@dataclass(frozen=True)
class Tile:
    """One picture of a contact sheet.

    Attributes:
        image: (H, W, 3) uint8.
        caption: line below it, shortened to fit; may be empty.
        warning: up to three lines in a warning colour, and a frame; empty for none.
    """

    image: Image
    caption: str
    warning: str = ""


def colour_of(index: int) -> Colour:
    """The colour of the index-th concept (colour-blind safe); repeats after seven."""
    return COLOURS[index % len(COLOURS)]


def draw(image: Image, objects: Sequence[Drawn], *, fill: float = 0.45) -> Image:
    """Draw objects on a copy of an image.

    Masks are filled with translucent colour inside a crisp contour, points are discs with a white
    rim (green positive, red negative). Line and text sizes follow the size of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        objects: drawn in order; points and labels lie above all masks.
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
    picture = PillowImage.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    taken: list[tuple[float, float, float, float]] = []
    for each in objects:
        if each.label:
            _tag(pen, each, picture.size, unit, taken)
    return np.array(picture)


def isolate(image: Image, mask: Mask, colour: Colour) -> Image:
    """A copy of an image in which all but an (H, W) mask is dimmed, with the mask's contour."""
    dimmed = np.where(mask[..., None], image, np.round(_DIMMED * image)).astype(np.uint8)
    return draw(dimmed, [Drawn(colour, mask)], fill=0.0)


def grid(tiles: Sequence[Tile], columns: int = 4, tile: int = 240) -> Image:
    """A contact sheet: pictures in rows, each with its caption below.

    Args:
        tiles: at least one.
        columns: pictures in a row; fewer pictures make a narrower sheet.
        tile: pixels of the square that each picture is fitted into.

    Returns:
        (H, W, 3) uint8.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    columns = min(columns, len(tiles))
    gap = max(8, tile // 20)
    rows = [
        _row(tiles[start : start + columns], columns, tile, gap)
        for start in range(0, len(tiles), columns)
    ]
    margin = np.full((gap, rows[0].shape[1], 3), _PAPER, np.uint8)
    return np.concatenate([margin, *rows])


def _row(tiles: Sequence[Tile], columns: int, tile: int, gap: int) -> Image:
    """One row of a contact sheet, as high as its pictures and captions need."""
    text_size = max(11.0, tile / 16)
    font = ImageFont.load_default(text_size)
    line = round(text_size * 1.3)
    pictures = [_fitted(each.image, tile) for each in tiles]
    texts = [
        [(text, _INK) for text in _wrap(each.caption, font, tile, 1)]
        + [(text, WARNING) for text in _wrap(each.warning, font, tile, 3)]
        for each in tiles
    ]
    below = max(picture.height for picture in pictures)
    height = below + gap // 2 + max(len(lines) for lines in texts) * line + gap
    row = PillowImage.new("RGB", (columns * (tile + gap) + gap, height), _PAPER)
    pen = ImageDraw.Draw(row)
    for index, (each, picture, lines) in enumerate(zip(tiles, pictures, texts, strict=True)):
        middle = gap + index * (tile + gap) + tile // 2
        left, top = middle - picture.width // 2, below - picture.height
        row.paste(picture, (left, top))
        if each.warning:
            frame = (left, top, left + picture.width - 1, top + picture.height - 1)
            pen.rectangle(frame, outline=WARNING, width=3)
        for number, (text, ink) in enumerate(lines):
            at = (middle, below + gap // 2 + number * line)
            pen.text(at, text, fill=ink, font=font, anchor="ma")
    return np.array(row)


def _fitted(image: Image, side: int) -> PillowImage.Image:
    picture = PillowImage.fromarray(image)
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, PillowImage.Resampling.LANCZOS)


def _paint(canvas: Image, mask: Mask, colour: Colour, fill: float, unit: float) -> Image:
    result = canvas.copy()
    tinted = (1 - fill) * canvas[mask] + fill * np.asarray(colour)
    result[mask] = np.round(tinted).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A dark line under the coloured one keeps the contour visible on its own colour.
    cv2.drawContours(result, contours, -1, (20, 20, 20), round(2.6 * unit) + 1, cv2.LINE_AA)
    cv2.drawContours(result, contours, -1, colour, max(1, round(1.5 * unit)), cv2.LINE_AA)
    return result


def _disc(canvas: Image, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw in place, with OpenCV's sub-pixel positions (its pixel centres lie on integers)."""
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
    """Draw a label at the top left of the object, in a box of its colour, clear of other labels."""
    text_size = max(11.0, 9 * unit)
    font = ImageFont.load_default(text_size)
    pad = round(3 * unit)
    text = _cut(_plain(each.label), font, size[0] - 2 * pad)
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


def _plain(text: str) -> str:
    """The text in ASCII, all that Pillow's built-in font has: accents dropped, the rest '?'."""
    letters = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    ascii_only = "".join(c if c.isascii() else "?" for c in letters)
    return " ".join("".join(c if c.isprintable() else " " for c in ascii_only).split())


def _wrap(text: str, font: _Font, width: float, lines: int) -> list[str]:
    """Plain text on at most so many lines of this width; the last is cut with '...' if need be."""
    wrapped: list[str] = []
    words = _plain(text).split()
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
