"""LVIS' and PACO's official JSON files, from which tables can be built without released pickles.

LVIS: `lvis_v1_val.json` from lvisdataset.org. Classes are sorted by id, the images of a class in
the order of their first annotation.

PACO: `paco_lvis_v1_{train,val}.json`. A part is a category with a colon in its name
("mug:handle"), and its annotation refers to that of its object by `obj_ann_id`, whose `bbox` is the
box. Classes are those with an annotation in the training set, sorted by id.

Draws depend on the order in the pickles, which is not documented; for the exact episodes of the
released loaders, provide their pickles, which take precedence.
"""

from __future__ import annotations

from typing import Any

from ipseg.benchmarks.annotations import json_stream
from ipseg.benchmarks.annotations.annotations import Box, Category, Collector, to_rle
from ipseg.benchmarks.annotations.released import corners
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.layout import relative_path
from ipseg.errors import SourceError


def collect_lvis(url: str, collector: Collector, progress: Progress | None) -> list[Category]:
    """Adds every mask of LVIS; returns its classes.

    Args:
        url: of the file.
        collector: receives the masks.
        progress: called with (bytes read, all bytes) of each pass over the file.

    Raises:
        SourceError: an entry is malformed (names file and entry).
        OSError: the file cannot be read.
    """
    images, names = json_stream.read_heads(url, _image_of, progress)
    count: dict[tuple[str, int], int] = {}
    for _, entry in json_stream.stream_lists(url, ("annotations",), progress):
        where = f"{url}: annotation {entry.get('id')!r}"
        class_id = json_stream.whole_number(entry, "category_id", where)
        number = json_stream.whole_number(entry, "image_id", where)
        if number not in images or class_id not in names:
            raise SourceError(f"{where}: no image {number} or no category {class_id} in the file")
        image = images[number]
        instance = count.get((image.path, class_id), 0)
        count[image.path, class_id] = instance + 1
        rle = to_rle(entry.get("segmentation"), image.size, where)
        collector.add(image.path, class_id, instance, rle)
    return [Category(class_id, names[class_id]) for class_id in sorted(names)]


def collect_paco(
    train: str, val: str, collector: Collector, progress: Progress | None
) -> list[Category]:
    """Adds every mask of a part in PACO's validation set; returns its classes.

    Args:
        train: file with the classes.
        val: file with the masks.
        collector: receives the masks.
        progress: as in `collect_lvis`.

    Raises:
        SourceError: an entry is malformed (names file and entry).
        OSError: a file cannot be read.
    """
    categories = _paco_classes(train, progress)
    images, _ = json_stream.read_heads(val, _image_of, progress, ("images",))
    boxes: dict[int, Box] = {}
    # Two passes, because parts may come before their objects.
    for key, entry in json_stream.stream_lists(val, ("annotations",), progress):
        where = f"{val}: {key}, id {entry.get('id')!r}"
        if entry.get("id") == entry.get("obj_ann_id"):
            boxes[json_stream.whole_number(entry, "id", where)] = corners(entry.get("bbox"), where)
    parts = {category.class_id for category in categories}
    for _, entry in json_stream.stream_lists(val, ("annotations",), progress):
        where = f"{val}: annotation {entry.get('id')!r}"
        class_id = json_stream.whole_number(entry, "category_id", where)
        if class_id not in parts:
            continue
        number = json_stream.whole_number(entry, "image_id", where)
        instance = json_stream.whole_number(entry, "obj_ann_id", where)
        if number not in images or instance not in boxes:
            raise SourceError(f"{where}: no image {number} or no object {instance} in the file")
        rle = to_rle(entry.get("segmentation"), images[number].size, where)
        collector.add(images[number].path, class_id, instance, rle, boxes[instance])
    return categories


def _paco_classes(url: str, progress: Progress | None) -> list[Category]:
    _, names = json_stream.read_heads(url, _image_of, progress, ("categories",))
    annotated = {
        json_stream.whole_number(entry, "category_id", f"{url}: annotation {entry.get('id')!r}")
        for _, entry in json_stream.stream_lists(url, ("annotations",), progress)
    }
    if not annotated <= names.keys():
        raise SourceError(
            f"{url}: annotations of categories {sorted(annotated - names.keys())}, "
            "which it does not define"
        )
    return [Category(c, names[c]) for c in sorted(annotated) if ":" in names[c]]


def _image_of(entry: dict[str, Any], where: str) -> json_stream.ImageEntry:
    """The path is relative to the image folder, from `coco_url`, else from `file_name`."""
    url = entry.get("coco_url")
    path = "/".join(url.split("/")[-2:]) if isinstance(url, str) else entry.get("file_name")
    if not isinstance(path, str) or "/" not in path:
        raise SourceError(f"{where}: neither coco_url nor file_name has folder and file")
    height, width = (json_stream.whole_number(entry, key, where) for key in ("height", "width"))
    return json_stream.ImageEntry(relative_path(path, where), height, width)
