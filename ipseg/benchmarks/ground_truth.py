"""Ground truth by address: a label map, a thresholded image, or run lengths.

::

PATH.png#label=8          pixels of value 8 (the palette index in a palette image)
PATH.png#label=8,9        pixels of value 8 or 9
PATH.png#object           pixels that are object by `read_mask`: not zero, not transparent
PATH.png#above=127        pixels whose grey level (or palette index) is above 127
PATH.png#label=1&ignore=255   the same; pixels of value 255 are not evaluated
rle:{"size":[h,w],"counts":"..."}   COCO's compressed run lengths
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from ipseg.errors import ImageError, SourceError
from ipseg.rows import Mask
from ipseg.storage.files import read_bytes
from ipseg.vision.masks import decode_rle, read_mask

_ADDRESS = re.compile(
    r"^(?P<file>.+)#(?:label=(?P<labels>\d+(?:,\d+)*)|above=(?P<level>\d+)|object)(?:&ignore=(?P<void>\d+))?$"
)


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one class in one image.

    Attributes:
        mask: (H, W) bool, the object.
        ignore: (H, W) bool, pixels that are not evaluated; None if all are.
    """

    mask: Mask
    ignore: Mask | None = None


def rle_address(rle: Any) -> str:  # noqa: ANN401  (an RLE, or the same as plain data)
    """The address of a mask, with its run lengths in it."""
    return "rle:" + json.dumps(
        {"size": [int(n) for n in rle["size"]], "counts": rle["counts"]}, separators=(",", ":")
    )


def read_ground_truth(address: str) -> GroundTruth:
    """The mask at an address.

    Raises:
        SourceError: the address has no known form, or its file is not a label map.
        OSError: the file is missing or cannot be read.
    """
    if address.startswith("rle:"):
        try:
            return GroundTruth(decode_rle(json.loads(address[4:])))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"damaged run lengths {address[:60]}...: {error}") from error
    match = _ADDRESS.match(address)
    if match is None:
        raise SourceError(f"{address} is not an address of ground truth")
    if match["labels"] is not None:
        labels = _label_map(match["file"])
        mask = np.isin(labels, [int(label) for label in match["labels"].split(",")])
    elif match["level"] is None:
        return GroundTruth(_object(match["file"]))
    else:
        labels = _grey(match["file"])
        mask = labels > int(match["level"])
    void = None if match["void"] is None else labels == int(match["void"])
    return GroundTruth(np.asarray(mask), void)


def label_map(url: str) -> npt.NDArray[Any]:
    """A label map, (H, W) integers: palette indices of a palette image, else pixel values.

    Raises:
        SourceError: the file is not an image, or has more than one channel.
        OSError: it is missing or cannot be read.
    """
    image = _open(url)
    if image.mode not in ("L", "P", "1", "I", "I;16"):  # one number for each pixel
        raise SourceError(f"{url} is an image of mode {image.mode}, not a label map")
    return np.asarray(image)


_label_map = lru_cache(maxsize=4)(label_map)  # the classes of an image share one label map


def _object(url: str) -> Mask:
    try:
        return read_mask(read_bytes(url))
    except ImageError as error:
        raise SourceError(f"{url} cannot be used as a mask: {error}") from error


@lru_cache(maxsize=4)
def _grey(url: str) -> npt.NDArray[Any]:
    image = _open(url)
    # In a palette image the index is the value, not its colour.
    return np.asarray(image if image.mode == "P" else image.convert("L"))


def _open(url: str) -> PillowImage.Image:
    data = read_bytes(url)
    try:
        image = PillowImage.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise SourceError(f"{url} cannot be read as an image: {error}") from error
    return image
