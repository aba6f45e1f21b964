"""Rows of a run and the images behind them, read when somebody looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ipseg.objects import Object
from ipseg.rows import Image
from ipseg.vision.images import ImageLimits, encode_jpeg, thumbnail
from jobs.originals import originals
from jobs.review.cache import Cache
from jobs.review.index import Index
from pipeline.runfolder.parts import read_group

VIEW_SIDE = 1600  # most pixels of an image as it is sent
CROP_SIDE = 360  # of one cell of the grid, sharp on dense screens
_CROP_SHARE = 1.5  # of the object's box
_CROP_LEAST = 48  # pixels of the image
_COLUMNS = ("key", "uri", "objects")
_QUALITY = 85  # of the JPEG images


class Rows:
    """Rows and images of a run, the last ones kept. Threads may share it.

    Args:
        index: of the run.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._limits = ImageLimits(**index.images)
        self._group = Cache(self._read_group, 24)  # some MB each
        self._objects = Cache(self._read_objects, 4096)
        self._full = Cache(self._read_image, 6)  # 36 MB each of a photo of 12 megapixels
        self.view = Cache(self._view, 24)
        self.crop = Cache(self._crop, 1024)

    def objects(self, image: int) -> tuple[Object, ...]:
        """What the run found in an image, in the order of its row.

        Raises:
            OSError, OutputError: the part cannot be read any more.
        """
        return self._objects(image)

    def pixels(self, image: int, frame: int) -> Image:
        """One frame of an image, upright, at its full size.

        Raises:
            OSError, ImageError, OutputError: the image cannot be had any more.
            IndexError: there is no such frame.
        """
        return self._full(image, frame)

    def _read_group(self, part: int, group: int) -> tuple[pa.Table, int]:
        return read_group(self.index.parts[part], group, _COLUMNS)

    def _row(self, image: int) -> dict[str, Any]:
        part, place = int(self.index.part[image]), int(self.index.place[image])
        table, first = self._group(part, 0)
        if not first <= place < first + len(table):  # the run has written parts of several groups
            table, first = self._group(part, place)
        row: dict[str, Any] = table.slice(place - first, 1).to_pylist()[0]
        return row

    def _read_objects(self, image: int) -> tuple[Object, ...]:
        return tuple(map(Object.from_record, self._row(image)["objects"]))

    def _read_image(self, image: int, frame: int) -> Image:
        row, place = self._row(image), self.index.where(image)
        return originals(self.index.out, place, row, self._limits)[frame]

    def _view(self, image: int, frame: int) -> bytes:
        return encode_jpeg(thumbnail(self._full(image, frame), VIEW_SIDE), _QUALITY)

    def _crop(self, number: int) -> bytes:
        pixels = self._full(int(self.index.image[number]), int(self.index.frame[number]))
        x0, y0, x1, y1 = crop_of(self.index, number)
        return encode_jpeg(
            thumbnail(np.ascontiguousarray(pixels[y0:y1, x0:x1]), CROP_SIDE), _QUALITY
        )


def crop_of(index: Index, number: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in pixels: a square around an object, half as long again as its box."""
    x, y, w, h = (float(value) for value in index.box[number])
    width, height = (int(value) for value in index.size[index.image[number]])
    side = round(max(_CROP_SHARE * max(w, h), _CROP_LEAST))
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    # Moved inwards at the border, so that the object has its surroundings there as well.
    left = max(0, min(left, width - side))
    top = max(0, min(top, height - side))
    return left, top, min(width, left + side), min(height, top + side)
