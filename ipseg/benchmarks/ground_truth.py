"""Ground truth by address: a label map, a thresholded image, or run lengths.

::

PATH.png#label=8          pixels of value 8 (the palette index in a palette image)
PATH.png#label=8,9        pixels of value 8 or 9
PATH.png#object           pixels that are object by `ipseg.vision.mask_files.read_mask`
PATH.png#instances        pixels that are not 0; each value is an instance by itself
PATH.png#above=127        pixels whose grey level (or palette index) is above 127
PATH.png#label=1&ignore=255   the same; pixels of value 255 are not evaluated
PATH.png#label=1&up_to=80     the same; a map with values above 80 (but 255) is refused
rle:{"size":[h,w],"counts":"..."}   COCO's compressed run lengths
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ipseg.errors import ImageError, SourceError
from ipseg.rows import Mask
from ipseg.storage.files import read_bytes
from ipseg.vision.images import MAX_PIXELS, MaskOrientation
from ipseg.vision.mask_files import read_labels, read_levels, read_mask
from ipseg.vision.masks import decode_rle
from ipseg.vision.orientation import turn

_ADDRESS = re.compile(
    r"(?P<file>.+)#(?:label=(?P<labels>\d{1,9}(?:,\d{1,9})*)|above=(?P<level>\d{1,3})"
    r"|(?P<each>instances)|object)"
    r"(?:&ignore=(?P<void>\d{1,9}))?(?:&up_to=(?P<most>\d{1,9}))?",
    re.DOTALL,
)
_VOID = 255
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one class in one image.

    Attributes:
        mask: (H, W) bool, the object.
        ignore: (H, W) bool, pixels that are not evaluated; None if all are.
        turned: whether it was turned as its image is.
        instances: (H, W) integers, 0 off the object and a number of its own on each instance; None
            where it does not tell them apart.
    """

    mask: Mask
    ignore: Mask | None = None
    turned: bool = False
    instances: npt.NDArray[Any] | None = None


def rle_address(rle: Any) -> str:  # noqa: ANN401  (an RLE, or the same as plain data)
    """The address of a mask, with its run lengths in it."""
    return "rle:" + json.dumps(
        {"size": [int(n) for n in rle["size"]], "counts": rle["counts"]}, separators=(",", ":")
    )


def file_of(address: str) -> str | None:
    """The file that an address is of; None for run lengths, and for no address."""
    match = _ADDRESS.fullmatch(address)
    return None if match is None else match["file"]


class LabelMaps:
    """Reads ground truth; the classes of an image share its label map, which is read once.

    What was read is kept as long as this object: for one row.
    """

    def __init__(self) -> None:
        self._known: dict[str, npt.NDArray[Any]] = {}

    def read(self, address: str, max_pixels: int = MAX_PIXELS) -> GroundTruth:
        """See `read_ground_truth`."""
        if address.startswith("rle:"):
            return GroundTruth(_from_rle(address, max_pixels))
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise SourceError(f"{address} is not an address of ground truth")
        url = match["file"]
        if match["level"] is not None:
            level = int(match["level"])
            return GroundTruth(_read(url, lambda data: read_levels(data, level, max_pixels)))
        if match["each"] is not None:
            numbers = self._labels(url, max_pixels)
            return GroundTruth(np.asarray(numbers != 0), instances=numbers)
        if match["labels"] is None:
            return GroundTruth(_read(url, lambda data: read_mask(data, max_pixels)))
        labels = self._labels(url, max_pixels)
        if match["most"] is not None:
            _check_values(url, labels, int(match["most"]))
        mask = np.isin(labels, [int(label) for label in match["labels"].split(",")])
        void = None if match["void"] is None else np.asarray(labels == int(match["void"]))
        return GroundTruth(np.asarray(mask), void)

    def _labels(self, url: str, max_pixels: int) -> npt.NDArray[Any]:
        if url not in self._known:
            self._known[url] = _read(url, lambda data: read_labels(data, max_pixels))
        return self._known[url]


def read_ground_truth(address: str, max_pixels: int = MAX_PIXELS) -> GroundTruth:
    """The mask at an address.

    Args:
        address: see the module.
        max_pixels: of width x height.

    Raises:
        SourceError: the address has no known form, or its file is not a label map or mask; names
            the file.
        OSError: the file is missing or cannot be read.
    """
    return LabelMaps().read(address, max_pixels)


def read_label_map(url: str) -> npt.NDArray[Any]:
    """A label map, (H, W) integers: palette indices of a palette image, else pixel values.

    Raises:
        SourceError: the file is missing, or is no label map; names it.
        OSError: it cannot be read.
    """
    try:
        return _read(url, read_labels)
    except FileNotFoundError as error:
        raise SourceError(f"label map {url} is missing") from error


def ground_truth_at(
    address: str,
    size: tuple[int, int],
    crop: Sequence[int] | None = None,
    orientation: int = 1,
    rule: MaskOrientation = "auto",
    maps: LabelMaps | None = None,
) -> GroundTruth:
    """Ground truth of an image, or of a part of it, upright as the image is.

    Args:
        address: as for `read_ground_truth`.
        size: width and height of the upright image (or part) in pixels.
        crop: x0, y0, x1, y1 of the part, in the pixels that the ground truth and the file have.
        orientation: EXIF orientation of the image.
        rule: whether the ground truth is of the upright image or of its stored pixels.
        maps: keeps what is read.

    Raises:
        SourceError: it has another size than the image, may lie on it in two ways, or none is
            known.
        OSError: it cannot be read.
    """
    if not address:
        raise SourceError("this image has no ground truth")
    # A part says nothing of the size of the whole.
    max_pixels = MAX_PIXELS if crop is not None else max(MAX_PIXELS, size[0] * size[1])
    truth = (maps or LabelMaps()).read(address, max_pixels)
    if crop is not None:
        x0, y0, x1, y1 = crop
        truth = _each(truth, lambda mask: mask[y0:y1, x0:x1])
        rule = "stored"
    return _upright(truth, size, orientation, rule, file_of(address) or "its mask")


def _upright(
    truth: GroundTruth, size: tuple[int, int], orientation: int, rule: MaskOrientation, name: str
) -> GroundTruth:
    turned = truth
    if orientation != 1:
        turned = replace(_each(truth, lambda mask: turn(mask, orientation)), turned=True)
    fits = {
        "upright": truth.mask.shape == (size[1], size[0]),
        "stored": turned.mask.shape == (size[1], size[0]),
    }
    if rule == "auto" and all(fits.values()) and not _same(truth, turned):
        raise SourceError(
            f"{name} fits its image both as it is seen and as it is stored (EXIF orientation "
            f"{orientation}); say which it is: --set images.mask_orientation=upright "
            "or =stored, with another --out or --overwrite, since it changes numbers"
        )
    if fits["upright"] and rule != "stored":
        return truth
    if fits["stored"] and rule != "upright":
        return turned
    height, width = truth.mask.shape
    stored = "" if orientation == 1 else f" (EXIF orientation {orientation}, masks: {rule})"
    raise SourceError(f"{name} is {width}x{height} pixels, its image {size[0]}x{size[1]}{stored}")


def _each(truth: GroundTruth, change: Callable[[Mask], Mask]) -> GroundTruth:
    void = None if truth.ignore is None else change(truth.ignore)
    each = None if truth.instances is None else change(truth.instances)
    return GroundTruth(change(truth.mask), void, instances=each)


def _same(one: GroundTruth, other: GroundTruth) -> bool:
    void = one.ignore is None or other.ignore is None or np.array_equal(one.ignore, other.ignore)
    return void and np.array_equal(one.mask, other.mask)


def _read(url: str, read: Callable[[bytes], _Read]) -> _Read:
    try:
        return read(read_bytes(url))
    except ImageError as error:
        raise SourceError(f"{url} cannot be used as a mask: {error}") from error


def _check_values(url: str, labels: npt.NDArray[Any], most: int) -> None:
    wrong = labels[(labels > most) & (labels != _VOID)]
    if wrong.size:
        raise SourceError(f"{url} contains the value {wrong.max()}, but labels are 0 to {most}")


def _from_rle(address: str, max_pixels: int) -> Mask:
    try:
        rle = json.loads(address[4:])
        if rle["size"][0] * rle["size"][1] > max_pixels:
            raise ValueError(f"size {rle['size']} is beyond {max_pixels:,} pixels")
        return decode_rle(rle)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise SourceError(f"damaged run lengths {address[:60]}...: {error}") from error
