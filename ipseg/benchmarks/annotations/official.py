"""LVIS' and PACO's official JSON files, from which tables can be built without released pickles.

LVIS: `lvis_v1_val.json` from lvisdataset.org. Classes are sorted by id, the images of a class in
the order of their first annotation.

PACO: `paco_lvis_v1_{train,val}.json`. A part is a category with a colon in its name
("mug:handle"), and its annotation refers to that of its object by `obj_ann_id`, whose `bbox` is the
box. Classes are those with an annotation in the training set, sorted by id.

Draws depend on the order in the pickles, which is not documented; for the exact episodes of the
released loaders, provide their pickles, which take precedence. Records that cannot be used are left
out and counted.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from ipseg.benchmarks.annotations import json_stream
from ipseg.benchmarks.annotations.annotations import Box, Category, Collector
from ipseg.benchmarks.annotations.released import corners
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.dropped import RecordError
from ipseg.benchmarks.layout import relative_path
from ipseg.errors import SourceError


def collect_lvis(url: str, collector: Collector, progress: Progress | None) -> list[Category]:
    """Adds every mask of LVIS; returns its classes.

    Args:
        url: of the file.
        collector: receives the masks.
        progress: called with (bytes read, all bytes) of each pass over the file.

    Raises:
        SourceError: the file is not of this form, or hardly any record can be used.
        OSError: the file cannot be read.
    """
    dropped = collector.dropped
    images, names = json_stream.read_heads(url, _image_of, progress, dropped)
    count: dict[tuple[str, int], int] = {}
    for _, entry in json_stream.stream_lists(url, ("annotations",), progress):
        with dropped.record():
            where = f"{url}: annotation {entry.get('id')!r}"
            class_id = json_stream.whole_number(entry, "category_id", where)
            _check_listed(class_id, names, "category", where)
            image = _image(entry, class_id, images, collector, where)
            instance = count.get((image.path, class_id), 0)
            count[image.path, class_id] = instance + 1
            place = class_id, image.path, instance
            collector.add(place, entry.get("segmentation"), image.size, where)
    dropped.check(url)
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
        SourceError: as `collect_lvis`, or an annotation of the training set is of no category.
        OSError: a file cannot be read.
    """
    dropped = collector.dropped
    categories = _paco_classes(train, collector, progress)
    images, names = json_stream.read_heads(val, _image_of, progress, dropped)
    boxes: dict[int, Box] = {}
    # Two passes, because parts may come before their objects.
    for key, entry in json_stream.stream_lists(val, ("annotations",), progress):
        if entry.get("id") == entry.get("obj_ann_id"):
            with dropped.record():
                where = f"{val}: {key}, id {entry.get('id')!r}"
                number = json_stream.whole_number(entry, "id", where)
                boxes[number] = corners(entry.get("bbox"), where)
    parts = {category.class_id for category in categories}
    for _, entry in json_stream.stream_lists(val, ("annotations",), progress):
        with dropped.record():
            where = f"{val}: annotation {entry.get('id')!r}"
            class_id = json_stream.whole_number(entry, "category_id", where)
            _check_listed(class_id, names, "category", where)
            if class_id not in parts:
                continue
            image = _image(entry, class_id, images, collector, where)
            instance = json_stream.whole_number(entry, "obj_ann_id", where)
            try:
                _check_listed(instance, boxes, "object", where)
            except RecordError as error:
                collector.lose(class_id, image.path, error)
                raise
            place = class_id, image.path, instance
            collector.add(place, entry.get("segmentation"), image.size, where, boxes[instance])
    dropped.check(val)
    return categories


def _image(
    entry: dict[str, Any],
    class_id: int,
    images: Mapping[int, json_stream.ImageEntry],
    collector: Collector,
    where: str,
) -> json_stream.ImageEntry:
    """The image of an annotation; raises RecordError."""
    number = json_stream.whole_number(entry, "image_id", where)
    try:
        _check_listed(number, images, "image", where)
    except RecordError as error:
        collector.lose(class_id, f"image {number}", error)
        raise
    return images[number]


def _check_listed(number: int, known: Container[int], what: str, where: str) -> None:
    if number not in known:
        article = "an" if what[0] in "io" else "a"
        raise RecordError(
            f"annotation of {article} {what} that is not listed",
            f"{where}: no {what} {number} in the file",
        )


def _paco_classes(url: str, collector: Collector, progress: Progress | None) -> list[Category]:
    _, names = json_stream.read_heads(url, _image_of, progress, collector.dropped, ("categories",))
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
        raise RecordError(
            "image without a name", f"{where}: neither coco_url nor file_name has folder and file"
        )
    height, width = (json_stream.whole_number(entry, key, where) for key in ("height", "width"))
    return json_stream.ImageEntry(relative_path(path, where), height, width)
