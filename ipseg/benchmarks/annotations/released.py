"""Annotations from the pickles of the released loaders, in their order.

Their shape: `{class id: {"val2017/xxx.jpg": {"annotations": [{"segmentation": ...}, ...]}}}`. In
PACO-Part each annotation also has the id of its object, `obj_ann_id`, and the box of that object,
`obj_bbox` (x, y, width, height). Image sizes, needed for polygons, are taken from `height` and
`width` next to `annotations`, else from the image itself. Classes have no names.
"""

from __future__ import annotations

from functools import cache, partial
from math import isfinite
from typing import Any

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ipseg.benchmarks.annotations.annotations import Box, Category, Collector
from ipseg.benchmarks.annotations.json_stream import whole_number
from ipseg.benchmarks.annotations.unpickling import load_plain
from ipseg.benchmarks.dropped import RecordError
from ipseg.benchmarks.layout import relative_path
from ipseg.errors import SourceError
from ipseg.storage.files import open_input, read_bytes


def read_released(url: str) -> dict[int, dict[str, Any]]:
    """Class id -> image -> entry, as in the pickle.

    Raises:
        SourceError: it contains more than plain data, or has another shape.
        OSError: it cannot be read.
    """
    data = load_plain(read_bytes(url), url)
    if not isinstance(data, dict) or not data:
        raise SourceError(f"{url} is not a dictionary of classes")
    for class_id, images in data.items():
        if not isinstance(class_id, int) or not isinstance(images, dict):
            raise SourceError(
                f"{url}: entry {class_id!r} is not a class id with a dictionary of images"
            )
    return data


def collect_released(
    url: str,
    classes: dict[int, dict[str, Any]],
    collector: Collector,
    image_folder: str,
    parts: bool,
) -> list[Category]:
    """Adds every mask of a pickle.

    Published draws depend on its lists: a mask that cannot be used is left out only where the list
    of its image stays, as with other instances of a class in LVIS; never one of a part, because
    objects are drawn too.

    Args:
        url: of the pickle, for errors.
        classes: result of `read_released`.
        collector: receives the masks.
        image_folder: folder of the images.
        parts: masks are of parts of objects with a box.

    Returns:
        The classes, in the order of the pickle.

    Raises:
        SourceError: an entry is malformed (named).
        OSError: an image cannot be read.
    """
    collector.released = True
    for class_id, images in classes.items():
        for image, entry in images.items():
            where = f"{url}: class {class_id}, image {image!r}"
            if not isinstance(image, str):
                raise SourceError(f"{where}: the image is not a path")
            relative_path(image, url)
            annotations = entry.get("annotations") if isinstance(entry, dict) else None
            if not isinstance(annotations, list | tuple) or not annotations:
                raise SourceError(f"{where}: no list 'annotations'")
            size = cache(partial(_size_of, entry, f"{image_folder}/{image}", where))
            for number, annotation in enumerate(annotations):
                here = f"{where}, annotation {number}"
                if not isinstance(annotation, dict):
                    raise SourceError(f"{here} is not a dictionary")
                segmentation = annotation.get("segmentation")
                if parts:
                    instance = whole_number(annotation, "obj_ann_id", here)
                    box = corners(annotation.get("obj_bbox"), f"{here}, obj_bbox")
                    collector.add((class_id, image, instance), segmentation, size, here, box)
                else:
                    with collector.dropped.record():
                        collector.add((class_id, image, number), segmentation, size, here)
    return [Category(class_id, str(class_id)) for class_id in classes]


def corners(box: object, where: str) -> Box:
    """x0, y0, x1, y1 of a box given as x, y, width, height.

    Raises:
        RecordError: it is not such a box.
    """
    try:
        x, y, width, height = finite(box)
    except (TypeError, ValueError):
        raise RecordError(
            "object without a box", f"{where}: {box!r} is not a box [x, y, width, height]"
        ) from None
    return x, y, x + width, y + height


def finite(numbers: Any) -> list[float]:  # noqa: ANN401
    """Some numbers as floats.

    Raises:
        TypeError, ValueError: they are not numbers, or not finite.
    """
    values = [float(n) for n in numbers]
    if not all(map(isfinite, values)):
        raise ValueError("not finite")
    return values


def _size_of(entry: dict[str, Any], image: str, where: str) -> tuple[int, int]:
    """Height and width of an image."""
    if "height" in entry and "width" in entry:
        return whole_number(entry, "height", where), whole_number(entry, "width", where)
    try:
        with open_input(image) as file, PillowImage.open(file) as opened:
            return opened.height, opened.width
    except FileNotFoundError as error:
        raise SourceError(f"{where}: image {image} is missing; its size is needed") from error
    except (UnidentifiedImageError, SyntaxError) as error:
        raise SourceError(f"{image} cannot be read as an image: {error}") from error
