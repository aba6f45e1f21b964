"""Images on a page: JPEG in data URIs, and what stands in for an image that cannot be had."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ipseg.objects import Object
from ipseg.rows import Image
from ipseg.vision.images import encode_jpeg
from ipseg.vision.masks import resized
from ipseg.vision.overlay import Colour, Drawn

_QUALITY = 80  # of the JPEG images in a page
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
    try:
        encoded = base64.b64encode(encode_jpeg(paint(), _QUALITY)).decode("ascii")
        return View(title, f"data:image/jpeg;base64,{encoded}")
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
