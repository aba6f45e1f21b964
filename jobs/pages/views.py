"""Images on a page: JPEG and WebP in data URIs, and what stands in for one that cannot be had."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ipseg.objects import Object
from ipseg.rows import Image
from ipseg.vision.images import encode_film, encode_jpeg
from ipseg.vision.masks import resized
from ipseg.vision.overlay import Colour, Drawn

_QUALITY = 80  # of the JPEG images in a page
_SECONDS = 0.25  # for which a frame of a film stands
_REASON_LENGTH = 160


@dataclass(frozen=True)
class View:
    """One image, or what stands in for it.

    Attributes:
        title: what it shows; may be empty.
        image: data URI, "" if it could not be had.
        reason: why not.
    """

    title: str
    image: str
    reason: str = ""


def view(title: str, paint: Callable[[], Image]) -> View:
    """The image that a function paints, or why it could not.

    A run is finished when its page is made: an image that has moved since leaves a gap in the
    page, not no page.
    """
    return _view(title, "jpeg", lambda: encode_jpeg(paint(), _QUALITY))


def film(title: str, paint: Callable[[], Sequence[Image]]) -> View:
    """Images of one size that play one after the other, or why they could not be painted."""
    return _view(title, "webp", lambda: encode_film(paint(), _SECONDS))


def _view(title: str, kind: str, encode: Callable[[], bytes]) -> View:
    try:
        encoded = base64.b64encode(encode()).decode("ascii")
        return View(title, f"data:image/{kind};base64,{encoded}")
    except Exception as error:  # noqa: BLE001  (each storage raises its own)
        return View(title, "", f"{type(error).__name__}: {error}"[:_REASON_LENGTH])


def css(colour: Colour) -> str:
    """A colour as CSS takes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def drawn(each: Object, colour: Colour, size: tuple[int, int]) -> Drawn:
    """An object on a reduced image, so that lines and dots keep their width.

    Args:
        each: with mask and points at the size of the whole image.
        colour: of its outline.
        size: width and height of the reduced image.
    """
    height, width = each.segmentation["size"]
    scale = np.array([size[0] / width, size[1] / height, 1.0])
    return Drawn(colour, resized(each.mask, size), each.points * scale)
