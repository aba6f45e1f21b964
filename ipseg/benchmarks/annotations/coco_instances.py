"""COCO's official annotations of 2014: `instances_{train,val}2014.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ipseg.benchmarks.annotations import json_stream
from ipseg.benchmarks.annotations.segmentation import to_rle
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.errors import SourceError
from ipseg.vision.masks import RLE

# In the order of their official ids (1 to 90, with gaps): the contiguous id is the index.
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

FILE = re.compile(r"COCO_(?P<folder>train2014|val2014)_\d{12}\.jpg")
_LONGEST_SIDE = 2**15  # pixels; larger sizes are errors


class Annotation(NamedTuple):
    """One object, or a region with a crowd of objects.

    Attributes:
        number: id in the file.
        image_id: of its image.
        class_id: contiguous, 0 to 79.
        area: in pixels, from the file.
        crowd: whether it is a region with many objects.
        segmentation: as in the file; `Instances.rle` decodes it.
    """

    number: int
    image_id: int
    class_id: int
    area: float
    crowd: bool
    segmentation: object


class Instances:
    """One official file; its annotations are streamed, because they would not fit into memory.

    Attributes:
        images: id -> image, in the order of the file.
    """

    def __init__(
        self, url: str, progress: Progress | None = None, dropped: Dropped | None = None
    ) -> None:
        """Reads images and categories.

        Args:
            url: the JSON file.
            progress: called with (bytes read, all bytes) of each pass over the file.
            dropped: takes up records that cannot be used.

        Raises:
            SourceError: the file is missing, is not JSON, or has other categories than COCO's 80.
            OSError: it cannot be read.
        """
        self._url, self._progress = url, progress
        self.dropped = Dropped() if dropped is None else dropped
        self.images, names = json_stream.read_heads(url, _image_of, progress, self.dropped)
        if tuple(name for _, name in sorted(names.items())) != COCO_CLASSES:
            raise SourceError(
                f"{url} has {len(names)} categories that are not COCO's 80; it is not the "
                "official file"
            )
        self._class_ids = {number: place for place, number in enumerate(sorted(names))}

    def annotations(self) -> Iterator[Annotation]:
        """The usable annotations in the order of the file; each call reads the file.

        Raises:
            SourceError: hardly any is usable, or one is not and that is refused (`Dropped.strict`).
            OSError: the file cannot be read.
        """
        for _, entry in json_stream.stream_lists(self._url, ("annotations",), self._progress):
            annotation = None
            with self.dropped.record():
                annotation = self._annotation(entry, f"{self._url}: annotation {entry.get('id')!r}")
            if annotation is not None:
                yield annotation
        self.dropped.check(self._url)

    def _annotation(self, entry: dict[str, Any], where: str) -> Annotation:
        number = json_stream.whole_number(entry, "id", where)
        image_id = json_stream.whole_number(entry, "image_id", where)
        category = json_stream.whole_number(entry, "category_id", where)
        area = entry.get("area")
        if image_id not in self.images:
            raise RecordError(
                "annotation of an image that is not listed",
                f"{where} refers to image {image_id}, which is not listed",
            )
        if category not in self._class_ids:
            raise RecordError(
                "annotation of a category that is not listed",
                f"{where} refers to category {category}, which is not listed",
            )
        if not isinstance(area, int | float) or "segmentation" not in entry:
            raise RecordError(
                "annotation without area or segmentation",
                f"{where} has no area or no segmentation",
            )
        return Annotation(
            number,
            image_id,
            self._class_ids[category],
            area,
            bool(entry.get("iscrowd", 0)),
            entry["segmentation"],
        )

    def rle(self, annotation: Annotation) -> RLE:
        """The mask of an annotation, with the size of its image.

        Raises:
            RecordError: it is malformed, or has another size.
        """
        size = self.images[annotation.image_id].size
        where = f"{self._url}: annotation {annotation.number}"
        rle = to_rle(annotation.segmentation, size, where, self.dropped)
        if tuple(rle["size"]) != size:
            raise RecordError(
                "mask of another size than its image",
                f"{where} has a mask of {rle['size']}, but an image of {list(size)}",
            )
        return rle


def _image_of(entry: dict[str, Any], where: str) -> json_stream.ImageEntry:
    match = FILE.fullmatch(str(entry.get("file_name")))
    if match is None:
        raise RecordError(
            "image without a name of COCO",
            f"{where} is named {entry.get('file_name')!r}; names should be like "
            "COCO_val2014_000000000042.jpg",
        )
    height, width = (json_stream.whole_number(entry, key, where) for key in ("height", "width"))
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise RecordError(
            "image without a size", f"{where} has an invalid size of {height} x {width} pixels"
        )
    return json_stream.ImageEntry(f"{match['folder']}/{match[0]}", height, width)
