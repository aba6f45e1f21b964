"""LVIS-92i's annotations as one table, from the released pickle or the official JSON.

The official file is `lvis_v1_val.json` from lvisdataset.org. A table built from it has classes
sorted by id and the images of a class in the order of their first annotation. Draws depend on the
order in the pickle, which is not documented; for the exact episodes of the released loaders,
provide their pickle, which takes precedence.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import Category, Collector, save_annotations, to_rle
from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.annotations.released import (
    below_root,
    collect_released,
    read_released,
    whole_number,
)
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.layout import relative_path
from ipseg.errors import SourceError
from ipseg.storage.files import exists, is_folder

TABLE = "lvis_val.parquet"
PICKLE = "lvis_val.pkl"
OFFICIAL = ("lvis_v1_val.json", "annotations/lvis_v1_val.json")
FOLDERS = below_root("LVIS", "")
IMAGE_FOLDERS = below_root("LVIS/coco", "coco", "LVIS", "")
LAYOUT = (
    "ROOT/LVIS/coco/{train2017,val2017}/*.jpg   images of COCO 2017\n"
    f"ROOT/LVIS/{PICKLE}                   of the released loaders, or\n"
    f"ROOT/LVIS/{OFFICIAL[0]}               from lvisdataset.org, or\n"
    f"ROOT/LVIS/{TABLE}               made from one of them by `ipseg data prepare`\n"
    "ROOT may be LVIS itself, or the folder above datasets/ or data/."
)


def prepare(root: str, out: str | None = None, progress: Progress | None = None) -> list[str]:
    """Builds the table and writes it.

    Args:
        root: data root; see `LAYOUT`.
        out: folder for the table, which is then a data root of its own that refers to the images
            in `root`; None writes next to the annotations.
        progress: called with (bytes read, all bytes) of each pass over an official file.

    Returns:
        The files that were written.

    Raises:
        SourceError: there is nothing to build from, or an annotation is malformed (names file and
            entry).
        OutputError: the table cannot be written.
        OSError: a file cannot be read.
    """
    folder, table = build(root, progress)
    return save_annotations(table, TABLE, folder, out, find_image_folder(root, IMAGE_FOLDERS))


def build(root: str, progress: Progress | None = None) -> tuple[str, pa.Table]:
    """The table, and the folder of the annotations it was built from.

    Raises:
        SourceError: as `prepare`.
        OSError: a file cannot be read.
    """
    root = root.rstrip("/")
    image_folder = find_image_folder(root, IMAGE_FOLDERS)
    collector = Collector()
    for folder in (f"{root}/{name}".rstrip("/") for name in FOLDERS):
        if exists(url := f"{folder}/{PICKLE}"):
            classes = read_released(url)
            categories = collect_released(url, classes, collector, image_folder, parts=False)
            return folder, collector.table(categories, url)
        for name in OFFICIAL:
            if exists(url := f"{folder}/{name}"):
                categories = _collect_official(url, collector, progress)
                return folder, collector.table(categories, url)
    raise SourceError(f"LVIS: no annotations in {root}; it needs\n{LAYOUT}")


def find_image_folder(root: str, places: tuple[str, ...]) -> str:
    """The folder that contains val2017/ or train2017/ of COCO.

    Raises:
        SourceError: there is none; lists the folders that were searched.
    """
    tried = [f"{root}/{place}".rstrip("/") for place in places]
    for folder in tried:
        if is_folder(f"{folder}/val2017") or is_folder(f"{folder}/train2017"):
            return folder
    raise SourceError(
        f"no images of COCO 2017: no folder val2017 or train2017 in {', '.join(tried)}"
    )


def image_of(entry: dict[str, Any], where: str) -> tuple[int, tuple[str, int, int]]:
    """Of an official entry of `images`: its id, and path, height and width.

    The path is relative to the image folder, from `coco_url`, else from `file_name`.

    Raises:
        SourceError: one of them is missing or invalid.
    """
    url = entry.get("coco_url")
    path = "/".join(url.split("/")[-2:]) if isinstance(url, str) else entry.get("file_name")
    if not isinstance(path, str) or "/" not in path:
        raise SourceError(f"{where}: neither coco_url nor file_name has folder and file")
    height, width = (whole_number(entry, key, where) for key in ("height", "width"))
    return whole_number(entry, "id", where), (relative_path(path, where), height, width)


def _collect_official(url: str, collector: Collector, progress: Progress | None) -> list[Category]:
    images: dict[int, tuple[str, int, int]] = {}
    names: dict[int, str] = {}
    # Two passes, because annotations may come before the images they need.
    for key, entry in stream_lists(url, ("images", "categories"), progress):
        if key == "images":
            number, image = image_of(entry, f"{url}: image {entry.get('id')!r}")
            images[number] = image
        else:
            where = f"{url}: category {entry.get('id')!r}"
            names[whole_number(entry, "id", where)] = str(entry.get("name"))
    count: dict[tuple[str, int], int] = {}
    for _, entry in stream_lists(url, ("annotations",), progress):
        where = f"{url}: annotation {entry.get('id')!r}"
        class_id = whole_number(entry, "category_id", where)
        number = whole_number(entry, "image_id", where)
        if number not in images or class_id not in names:
            raise SourceError(f"{where}: no image {number} or no category {class_id} in the file")
        path, height, width = images[number]
        instance = count.get((path, class_id), 0)
        count[path, class_id] = instance + 1
        rle = to_rle(entry.get("segmentation"), (height, width), where)
        collector.add(path, class_id, instance, rle)
    return [Category(class_id, names[class_id]) for class_id in sorted(names)]
