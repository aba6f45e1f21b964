"""COCO's official annotations of 2014: `instances_{train,val}2014.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ipseg.benchmarks.annotations.annotations import to_rle
from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.benchmark import Progress
from ipseg.errors import SourceError
from ipseg.vision.masks import RLE

# In the order of their official ids (1 to 90, with gaps): the contiguous id is the place.
COCO_CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book"),
    *("clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)

_FILE = re.compile(r"COCO_(?P<folder>train2014|val2014)_\d{12}\.jpg")
_LONGEST_SIDE = 2**15  # pixels; anything beyond is no size


class Picture(NamedTuple):
    """A picture: its path below the data set, and its size in pixels."""

    path: str
    height: int
    width: int


class Annotation(NamedTuple):
    """One object, or a region with a crowd of them.

    Attributes:
        number: its id in the file.
        image: id of its picture.
        class_id: contiguous, 0 to 79.
        area: as the file states it, in pixels.
        crowd: whether it is a region with many objects.
        segmentation: as written; `Instances.rle` reads it.
    """

    number: int
    image: int
    class_id: int
    area: float
    crowd: bool
    segmentation: object


class Instances:
    """One official file; its annotations are streamed, because they would fill the memory.

    Attributes:
        pictures: id -> picture, in the order of the file.
    """

    def __init__(self, url: str, progress: Progress | None = None) -> None:
        """Reads pictures and categories.

        Args:
            url: the JSON file.
            progress: called with (bytes read, all bytes) of each pass over the file.

        Raises:
            SourceError: the file is missing, is no JSON, or has other categories than COCO's 80.
            OSError: it cannot be read.
        """
        self._url, self._progress = url, progress
        self.pictures: dict[int, Picture] = {}
        names: dict[int, str] = {}
        for key, entry in stream_lists(url, ("images", "categories"), progress):
            number = self._whole(entry, "id", key)
            if key == "images":
                self.pictures[number] = self._picture(entry, number)
            else:
                names[number] = str(entry.get("name"))
        if tuple(name for _, name in sorted(names.items())) != COCO_CLASSES:
            raise SourceError(
                f"{url} has {len(names)} categories that are not COCO's 80; it is not the "
                "official file"
            )
        self._class_ids = {number: place for place, number in enumerate(sorted(names))}

    def annotations(self) -> Iterator[Annotation]:
        """All annotations in the order of the file, read anew.

        Raises:
            SourceError: one is malformed (named), or is of a picture that is not listed.
            OSError: the file cannot be read.
        """
        for _, entry in stream_lists(self._url, ("annotations",), self._progress):
            number = self._whole(entry, "id", "annotations")
            where = f"{self._url}: annotation {number}"
            image = self._whole(entry, "image_id", where)
            category = self._whole(entry, "category_id", where)
            area = entry.get("area")
            if image not in self.pictures:
                raise SourceError(f"{where} is of image {image}, which is not listed")
            if category not in self._class_ids:
                raise SourceError(f"{where} is of category {category}, which is not listed")
            if not isinstance(area, int | float) or "segmentation" not in entry:
                raise SourceError(f"{where} lacks its area or its segmentation")
            yield Annotation(
                number,
                image,
                self._class_ids[category],
                area,
                bool(entry.get("iscrowd", 0)),
                entry["segmentation"],
            )

    def rle(self, annotation: Annotation) -> RLE:
        """The mask of an annotation, in the size of its picture.

        Raises:
            SourceError: it is malformed, or has another size.
        """
        picture = self.pictures[annotation.image]
        size = (picture.height, picture.width)
        where = f"{self._url}: annotation {annotation.number}"
        rle = to_rle(annotation.segmentation, lambda: size, where)
        if tuple(rle["size"]) != size:
            raise SourceError(f"{where} has a mask of {rle['size']}, its picture is {list(size)}")
        return rle

    def _picture(self, entry: dict[str, Any], number: int) -> Picture:
        where = f"{self._url}: image {number}"
        match = _FILE.fullmatch(str(entry.get("file_name")))
        if match is None:
            raise SourceError(
                f"{where} is named {entry.get('file_name')!r}; a picture is named like "
                "COCO_val2014_000000000042.jpg"
            )
        height, width = (self._whole(entry, key, where) for key in ("height", "width"))
        if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
            raise SourceError(f"{where} is said to have {height} x {width} pixels")
        return Picture(f"{match['folder']}/{match[0]}", height, width)

    def _whole(self, entry: dict[str, Any], key: str, where: str) -> int:
        value = entry.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            origin = where if where.startswith(self._url) else f"{self._url}: one of {where}"
            raise SourceError(f"{origin} has {value!r} for '{key}', no whole number")
        return value
