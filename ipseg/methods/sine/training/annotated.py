"""A collection with annotations of COCO's formats: which image has which class, and its objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ipseg.errors import ImageError, SourceError
from ipseg.methods.sine.training.pairs import Kind
from ipseg.methods.sine.training.scenes import Masks, Numbers, Scene
from ipseg.methods.sine.training.tables import Tables
from ipseg.storage.files import read_bytes
from ipseg.vision.images import ImageLimits, decode_oriented
from ipseg.vision.masks import RLE, decode_rle
from ipseg.vision.orientation import turn_back

_LIMITS = ImageLimits(min_side=1, max_aspect=float("inf"))


@dataclass(frozen=True)
class Place:
    """Where a collection lies, as workers are given it.

    Attributes:
        name: for messages.
        kind: of its annotations.
        weight: among collections of its kind.
        tables: address of its tables, see `Tables`.
        images: folder that image names are relative to.
        maps: folder of the PNG files of a panoptic one; "" for others.
        objects: in it.
    """

    name: str
    kind: Kind
    weight: float
    tables: str
    images: str
    maps: str
    objects: int


@dataclass
class Annotated:
    """A `Collection` of annotated images.

    Attributes:
        place: where it lies.
    """

    place: Place
    _tables: Tables = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = Tables.open(Path(self.place.tables))
        if found is None:
            raise SourceError(f"{self.place.tables}.segments.arrow is missing: start again")
        self._tables = found

    @property
    def name(self) -> str:
        """See `Collection`."""
        return self.place.name

    @property
    def kind(self) -> Kind:
        """See `Collection`."""
        return self.place.kind

    @property
    def weight(self) -> float:
        """See `Collection`."""
        return self.place.weight

    @property
    def classes(self) -> Numbers:
        """See `Collection`."""
        return self._by_class[0]

    def images_of(self, class_number: int) -> Numbers:
        """See `Collection`."""
        classes, starts, images = self._by_class
        at = int(np.searchsorted(classes, class_number))
        return images[starts[at] : starts[at + 1]]

    def read(self, image: int) -> Scene:
        """See `Collection`."""
        row = {name: self._tables.images[name][image].as_py() for name in ("path", "map")}
        size = tuple(self._tables.images[name][image].as_py() for name in ("height", "width"))
        first, last = np.searchsorted(self._column("image"), [image, image + 1])
        ids = self._column("id")[first:last].copy()
        path = f"{self.place.images}/{row['path']}"
        pixels = self._pixels(path, size)
        if self.place.kind == "panoptic":
            masks = self._panoptic(f"{self.place.maps}/{row['map']}", size, ids)
        else:
            counts = self._tables.segments["counts"][int(first) : int(last)].to_pylist()
            rles: list[RLE] = [{"size": list(size), "counts": each} for each in counts]
            masks = np.stack([decode_rle(rle) for rle in rles])
        return Scene(pixels, masks, ids, self._column("class")[first:last].astype(np.int64))

    def _pixels(self, path: str, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        try:
            image, orientation = decode_oriented(read_bytes(path), _LIMITS)
        except FileNotFoundError as error:
            raise SourceError(f"{path} is missing, which {self.name} lists") from error
        except ImageError as error:
            raise SourceError(f"{path} cannot be used: {error}") from error
        if image.shape[:2] != size:  # annotations may be of the pixels as they are stored
            image = np.ascontiguousarray(turn_back(image, orientation))
        if image.shape[:2] != size:
            raise SourceError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels, but its annotations "
                f"{size[1]}x{size[0]}: get images and annotations of one release"
            )
        return image

    def _panoptic(self, path: str, size: tuple[int, ...], ids: Numbers) -> Masks:
        """The pixels of each segment, by its number in the colours: R + 256 G + 65536 B."""
        colours = self._pixels(path, size).astype(np.int64)
        return (colours @ np.array([1, 256, 256**2])) == ids[:, None, None]

    def _column(self, name: str) -> Numbers:
        chunk = self._tables.segments[name].chunk(0)  # written as one
        return np.asarray(chunk.to_numpy())

    @cached_property
    def _by_class(self) -> tuple[Numbers, Numbers, Numbers]:
        """Classes; where the images of each start, and where the last end; the images."""
        images = self._tables.images.num_rows
        keys = np.unique(self._column("class").astype(np.int64) * images + self._column("image"))
        classes, starts = np.unique(keys // images, return_index=True)
        return classes, np.append(starts, len(keys)), keys % images
