"""What a notebook has at hand - files, folders, pixels, lists of these - as rows for a chain."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps

from ipseg.benchmarks.ground_truth import rle_address
from ipseg.errors import ImageError, IpsegError, PromptError
from ipseg.prompts import find_prompts, parse_box, parse_points, with_own_keys
from ipseg.rows import Row, failed
from ipseg.storage.walk import find_file, iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES
from ipseg.vision.masks import encode_rle

# An address, an encoded file, pixels (any array that numpy can take), or an image of Pillow's.
ImageLike = str | Path | bytes | npt.NDArray[Any] | PillowImage.Image

_CERTAINLY_ONE = re.compile(r"[^*?\[{]*")  # not a glob
_IN_CONTAINER = re.compile(r".+#(row|member)=.+")
_Bytes = bytes | bytearray | memoryview
_KNOWN = (
    "a path, URL, glob, folder, bytes, open file, array or Pillow image, or a list or generator of "
    "these"
)


@dataclass(frozen=True, repr=False)
class Prompt:
    """One prompt image. Without a mask, box or points, the profile's support finds the object.

    Attributes:
        image: path or URL (a mask, box or points that lie beside it count unless others are given
            here), encoded bytes, pixels as for `Model.segment`, or a Pillow image.
        mask: (H, W) bool or integers, not 0 on the object; or the path or URL of a mask file.
        box: x0, y0, x1, y1 in pixels.
        points: (x, y) in pixels, or several, on the object.
    """

    image: ImageLike
    mask: npt.ArrayLike | str | Path | None = None
    box: npt.ArrayLike | None = None
    points: npt.ArrayLike | None = None

    def __repr__(self) -> str:
        """Without pixels."""
        given = [name for name in ("mask", "box", "points") if getattr(self, name) is not None]
        what = str(self.image) if isinstance(self.image, str | PathLike) else _kind(self.image)
        return f"<Prompt {' with '.join([what, ', '.join(given)] if given else [what])}>"


def is_one_image(given: object) -> bool:
    """Whether it is one image, and no folder, glob or list.

    Raises:
        ImageError: its address is empty.
        OSError: the storage does not answer.
    """
    if isinstance(given, str | PathLike):
        return _is_one_file(str(given))
    return _items(given) is None


def image_rows(given: object) -> Iterator[Row]:
    """Rows (key, uri, image_bytes) of images, one at a time, in the order in which they are given.

    Files of a folder or glob come in the order of their names, which are their keys; the key of
    another address is the address, that of anything else its number among what is given, from 0.
    What cannot be an image is a failed row.
    """
    numbers = count()

    def rows(item: object) -> Iterator[Row]:
        if (items := _items(item)) is not None:
            for each in items:
                yield from rows(each)
            return
        number = str(next(numbers))
        key = str(item) if isinstance(item, str | PathLike) else number
        row: Row = {"key": key, "uri": key}
        try:
            if isinstance(item, str | PathLike):
                yield from _found(str(item))
            else:
                yield row | {"image_bytes": encoded(item)}
        except (IpsegError, OSError) as error:
            yield failed(row, "input", error)

    return rows(given)


def _is_one_file(url: str) -> bool:
    if not url:
        raise ImageError("the address of the image is empty")
    if _IN_CONTAINER.fullmatch(url):
        return True
    known = PurePosixPath(url).suffix.lower() in IMAGE_SUFFIXES  # saves a request for each image
    return (known and bool(_CERTAINLY_ONE.fullmatch(url))) or find_file(url) is not None


def _found(url: str) -> Iterator[Row]:
    if _is_one_file(url):
        yield {"key": url, "uri": url}
        return
    found = sorted(
        (each.name, each.address)
        for each in iterate_files(url)
        if not each.is_folder and PurePosixPath(each.name).suffix.lower() in IMAGE_SUFFIXES
    )
    if not found:
        raise ImageError("no image is there")
    yield from ({"key": name, "uri": address} for name, address in found)


def _items(given: object) -> Iterable[object] | None:
    """What a collection holds; None for one image, address, or what is neither."""
    if hasattr(given, "__array__"):  # of numpy, torch, pandas ...
        array = np.asarray(given)
        return array.tolist() if array.ndim == 1 and array.dtype.kind in "OUT" else None
    is_one = isinstance(given, str | PathLike | _Bytes | PillowImage.Image | Mapping)
    is_one = is_one or hasattr(given, "read")  # a file that is open
    return None if is_one or not isinstance(given, Iterable) else given


def encoded(image: object) -> bytes:
    """A file with the pixels of an image, without loss.

    Raises:
        ImageError: it is none, or its values have no known white.
    """
    if hasattr(image, "read"):
        image = image.read()
    if isinstance(image, _Bytes):
        return bytes(image)
    if not isinstance(image, PillowImage.Image) and not hasattr(image, "__array__"):
        raise ImageError(f"images are {_KNOWN}, not {_kind(image)}")
    pillow = image if isinstance(image, PillowImage.Image) else PillowImage.fromarray(_grey(image))
    buffer = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(pillow)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
        # As it is in memory: compressing it as PNG would take longer than many a method.
        upright.save(buffer, "TIFF", compression="raw")
    except (OSError, ValueError) as error:
        raise ImageError(f"Pillow image of mode {pillow.mode}: {error}") from error
    return buffer.getvalue()


def _grey(image: object) -> npt.NDArray[np.uint8]:
    """(H, W), (H, W, 3) or (H, W, 4) uint8."""
    array = np.asarray(image)
    height_width, channels = array.shape[:2], array.shape[2:]
    if len(height_width) < 2 or channels not in ((), (1,), (3,), (4,)) or not array.size:
        raise ImageError(
            f"pixels are (height, width), or (height, width, 3) or (.., 4) with alpha, not "
            f"{array.shape} of {array.dtype}"
        )
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ImageError(
                f"pixels of type {array.dtype} are from 0 to 1, these are from {low:g} to "
                f"{high:g}: scale them, or give uint8"
            )
        array = np.round(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(
            f"pixels are uint8 (0 to 255) or floats (0 to 1), not {array.dtype}, of which nobody "
            f"knows what is white"
        )
    return array[..., 0] if channels == (1,) else array


def prompt_rows(prompts: object) -> list[Row]:
    """Rows (key, uri, image_bytes, concept, given_*) of prompts as `Model.set_prompts` takes them.

    Raises:
        PromptError: they are none; names the one that is wrong.
    """
    if isinstance(prompts, str | PathLike):
        return find_prompts(str(prompts))
    rows: list[Row] = []
    if isinstance(prompts, Mapping):
        for concept, given in prompts.items():
            if not isinstance(concept, str) or not concept:
                raise PromptError(f"a concept is named by a text, not by {concept!r}")
            of_concept = list(_of_concept(concept, given, count()))
            if not of_concept:
                raise PromptError(f"'{concept}' has no prompt image")
            rows += of_concept
    elif isinstance(prompts, Iterable) and not isinstance(prompts, _Bytes | np.ndarray):
        for each in prompts:
            if not isinstance(each, str | PathLike):
                raise PromptError(f"{_kind(each)} does not say its concept: give {{'cup': ...}}")
            rows += find_prompts(str(each))
    else:
        raise PromptError(
            f"prompts are {{concept: image or images}}, a folder, file, glob or bank, or a list of "
            f"files, not {_kind(prompts)}"
        )
    if not rows:
        raise PromptError("there is no prompt: give at least one, as in {'cup': 'cup.jpg'}")
    return with_own_keys(rows)


def _of_concept(concept: str, given: object, numbers: Iterator[int]) -> Iterator[Row]:
    if (items := _items(given)) is not None:
        for each in items:
            yield from _of_concept(concept, each, numbers)
        return
    prompt = given if isinstance(given, Prompt) else Prompt(given)  # type: ignore[arg-type]
    image, key = prompt.image, f"{concept}/{next(numbers)}"
    if not isinstance(image, str | PathLike):
        try:
            row = {"key": key, "uri": key, "image_bytes": encoded(image)}
        except ImageError as error:
            raise PromptError(f"prompt {key} cannot be used: {error}") from error
    elif prompt.mask is None and prompt.box is None and prompt.points is None:
        yield from find_prompts(str(image), concept)
        return
    else:
        row = {"key": key, "uri": str(image)}
    yield row | {"concept": concept} | _given(prompt, key)


def _given(prompt: Prompt, key: str) -> Row:
    given: Row = {}
    if isinstance(prompt.mask, str | PathLike):
        given["given_mask"] = f"{prompt.mask}#object"
    elif prompt.mask is not None:
        mask = np.asarray(prompt.mask)
        if mask.ndim != 2 or mask.dtype.kind not in "bui":
            raise PromptError(
                f"{key}: a mask is (H, W) bool or integers, not 0 on the object, but not "
                f"{mask.shape} {mask.dtype}"
            )
        given["given_mask"] = rle_address(encode_rle(mask != 0))
    if prompt.box is not None:
        given["given_box"] = parse_box(_numbers(prompt.box), key)
    if prompt.points is not None:
        given["given_points"] = parse_points(_numbers(prompt.points), key)
    return given


def _numbers(value: npt.ArrayLike) -> object:
    try:
        return np.asarray(value, np.float64).tolist()
    except (TypeError, ValueError):  # the checks that follow say what is expected
        return None


def _kind(given: object) -> str:
    if isinstance(given, np.ndarray):
        return f"array of shape {given.shape}"
    return "None" if given is None else type(given).__name__
