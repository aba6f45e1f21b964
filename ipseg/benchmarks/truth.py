"""Ground truth at an address: a label map, a thresholded picture, or run lengths.

::

PATH.png#label=8          pixels of value 8 (the index, in a palette picture)
PATH.png#label=8,9        pixels of value 8 or 9
PATH.png#object           pixels that are object by `read_mask`: not zero, not transparent
PATH.png#above=127        pixels whose grey level (or palette index) is above 127
PATH.png#label=1&ignore=255   the same; pixels of value 255 count neither way
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
class Truth:
    """Ground truth of one class in one picture.

    Attributes:
        mask: (H, W) bool, the object.
        ignore: (H, W) bool, pixels that are not judged; None where all are.
    """

    mask: Mask
    ignore: Mask | None = None


def rle_address(rle: Any) -> str:  # noqa: ANN401  (an RLE, or the same as plain data)
    """Address of a mask given as run lengths."""
    return "rle:" + json.dumps(
        {"size": [int(n) for n in rle["size"]], "counts": rle["counts"]}, separators=(",", ":")
    )


def read_truth(address: str) -> Truth:
    """The mask at an address.

    Raises:
        SourceError: the address is of no known form, or its file is no label map.
        OSError: the file is missing or cannot be read.
    """
    if address.startswith("rle:"):
        try:
            return Truth(decode_rle(json.loads(address[4:])))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"damaged run lengths {address[:60]}...: {error}") from error
    match = _ADDRESS.match(address)
    if match is None:
        raise SourceError(f"{address} is no address of ground truth")
    if match["labels"] is not None:
        labels = _label_map(match["file"])
        mask = np.isin(labels, [int(label) for label in match["labels"].split(",")])
    elif match["level"] is None:
        return Truth(_object(match["file"]))
    else:
        labels = _grey(match["file"])
        mask = labels > int(match["level"])
    void = None if match["void"] is None else labels == int(match["void"])
    return Truth(np.asarray(mask), void)


@lru_cache(maxsize=4)  # the classes of a picture share one label map
def _label_map(url: str) -> npt.NDArray[Any]:
    picture = _open(url)
    if picture.mode not in ("L", "P", "I;16", "I", "1"):
        raise SourceError(f"{url} is a picture of mode {picture.mode}, not a map of labels")
    return np.asarray(picture)


def _object(url: str) -> Mask:
    try:
        return read_mask(read_bytes(url))
    except ImageError as error:
        raise SourceError(f"{url} cannot be used as a mask: {error}") from error


@lru_cache(maxsize=4)
def _grey(url: str) -> npt.NDArray[Any]:
    picture = _open(url)
    # Of a palette picture the index counts, whatever colour it shows.
    return np.asarray(picture if picture.mode == "P" else picture.convert("L"))


def _open(url: str) -> PillowImage.Image:
    data = read_bytes(url)
    try:
        picture = PillowImage.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError) as error:
        raise SourceError(f"{url} cannot be read as a picture: {error}") from error
    return picture
