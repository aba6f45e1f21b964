"""PACO-Part's and PASCAL-Part's annotations, each as one table.

PACO-Part: from the released pickles (which take precedence, because draws depend on their order),
or from the official `paco_lvis_v1_{train,val}.json`. There a part is a category with a colon in its
name ("mug:handle"), and its annotation refers to that of its object by `obj_ann_id`, whose `bbox`
is the box. Classes are then those with an annotation in the training set, sorted by id.

PASCAL-Part: from the JSON files that come with the released loaders (`pascal_part_files`).
"""

from __future__ import annotations

import pyarrow as pa

from ipseg.benchmarks.annotations.annotations import (
    Box,
    Category,
    Collector,
    save_annotations,
    to_rle,
)
from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.annotations.pascal_part_files import INDEX, collect_pascal_part
from ipseg.benchmarks.annotations.prepare_lvis import find_image_folder, image_of
from ipseg.benchmarks.annotations.released import (
    below_root,
    collect_released,
    corners,
    read_released,
    whole_number,
)
from ipseg.benchmarks.benchmark import Progress
from ipseg.errors import SourceError
from ipseg.storage.files import exists, is_folder

PACO_TABLE = "paco_part_val.parquet"
PACO_FOLDERS = below_root("PACO-Part/paco", "PACO-Part", "paco", "")
PACO_IMAGE_FOLDERS = below_root("PACO-Part/coco", "coco", "PACO-Part", "")
PACO_LAYOUT = (
    "ROOT/PACO-Part/coco/{train2017,val2017}/*.jpg            images of COCO 2017\n"
    "ROOT/PACO-Part/paco/paco_part_{train,val}.pkl            of the released loaders, or\n"
    "ROOT/PACO-Part/paco/paco_lvis_v1_{train,val}.json        of facebookresearch/paco, or\n"
    f"ROOT/PACO-Part/paco/{PACO_TABLE}                made by `ipseg data prepare`\n"
    "ROOT may be PACO-Part itself, or the folder above datasets/ or data/."
)
PASCAL_TABLE = "pascal_part.parquet"
PASCAL_FOLDERS = below_root("Pascal-Part/VOCdevkit/VOC2010", "VOCdevkit/VOC2010", "VOC2010", "")
PASCAL_LAYOUT = (
    "ROOT/Pascal-Part/VOCdevkit/VOC2010/JPEGImages/<id>.jpg   images of PASCAL VOC 2010\n"
    "    .../all_obj_part_to_image.json and\n"
    "    .../Annotations_Part_json_merged_part_classes/<id>.json   of the released loaders, or\n"
    f"    .../{PASCAL_TABLE}   made of them by `ipseg data prepare`\n"
    "ROOT may be VOC2010 itself, or the folder above datasets/ or data/."
)

_SPLITS = ("train", "val")


def prepare_paco_part(
    root: str, out: str | None = None, progress: Progress | None = None
) -> list[str]:
    """Builds PACO-Part's table and writes it.

    Args:
        root: data root; see `PACO_LAYOUT`.
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
    folder, table = build_paco_part(root, progress)
    image_folder = find_image_folder(root, PACO_IMAGE_FOLDERS)
    return save_annotations(table, PACO_TABLE, folder, out, image_folder)


def prepare_pascal_part(
    root: str, out: str | None = None, progress: Progress | None = None
) -> list[str]:
    """Builds PASCAL-Part's table and writes it.

    Args:
        root: data root; see `PASCAL_LAYOUT`.
        out: as in `prepare_paco_part`.
        progress: called with (images read, all images).

    Returns:
        The files that were written.

    Raises:
        SourceError: as `prepare_paco_part`.
        OutputError: the table cannot be written.
        OSError: a file cannot be read.
    """
    folder, table = build_pascal_part(root, progress)
    return save_annotations(table, PASCAL_TABLE, folder, out, find_pascal_images(root))


def build_paco_part(root: str, progress: Progress | None = None) -> tuple[str, pa.Table]:
    """PACO-Part's table, and the folder of the annotations it was built from.

    Raises:
        SourceError: as `prepare_paco_part`.
        OSError: a file cannot be read.
    """
    root = root.rstrip("/")
    image_folder = find_image_folder(root, PACO_IMAGE_FOLDERS)
    collector = Collector()
    for folder in (f"{root}/{name}".rstrip("/") for name in PACO_FOLDERS):
        train, val = (f"{folder}/paco_part_{split}.pkl" for split in _SPLITS)
        if exists(train) and exists(val):
            order = read_released(train)
            kept = {c: images for c, images in read_released(val).items() if c in order}
            collect_released(val, kept, collector, image_folder, parts=True)
            categories = [Category(class_id, str(class_id)) for class_id in order]
            return folder, collector.table(categories, val)
        for place in (folder, f"{folder}/annotations"):
            train, val = (f"{place}/paco_lvis_v1_{split}.json" for split in _SPLITS)
            if exists(train) and exists(val):
                categories = _paco_classes(train, progress)
                _collect_paco(val, categories, collector, progress)
                return folder, collector.table(categories, val)
    raise SourceError(
        f"PACO-Part: no annotations, of both train and val, in {root}; it needs\n{PACO_LAYOUT}"
    )


def build_pascal_part(root: str, progress: Progress | None = None) -> tuple[str, pa.Table]:
    """PASCAL-Part's table, and the folder of the annotations it was built from.

    Raises:
        SourceError: as `prepare_paco_part`.
        OSError: a file cannot be read.
    """
    root = root.rstrip("/")
    for folder in (f"{root}/{name}".rstrip("/") for name in PASCAL_FOLDERS):
        if exists(url := f"{folder}/{INDEX}"):
            collector = Collector()
            categories = collect_pascal_part(folder, collector, progress)
            return folder, collector.table(categories, url)
    raise SourceError(f"PASCAL-Part: no {INDEX} in {root}; it needs\n{PASCAL_LAYOUT}")


def find_pascal_images(root: str) -> str:
    """The folder JPEGImages of VOC 2010.

    Raises:
        SourceError: there is none; lists the folders that were searched.
    """
    tried = [f"{root}/{name}/JPEGImages".replace("//J", "/J") for name in PASCAL_FOLDERS]
    for folder in tried:
        if is_folder(folder):
            return folder
    raise SourceError(f"no images of PASCAL VOC 2010: no folder {', '.join(tried)}")


def _paco_classes(url: str, progress: Progress | None) -> list[Category]:
    names: dict[int, str] = {}
    annotated = set()
    for key, entry in stream_lists(url, ("categories", "annotations"), progress):
        where = f"{url}: {key}, id {entry.get('id')!r}"
        if key == "categories":
            names[whole_number(entry, "id", where)] = str(entry.get("name"))
        else:
            annotated.add(whole_number(entry, "category_id", where))
    if not annotated <= names.keys():
        raise SourceError(
            f"{url}: annotations of categories {sorted(annotated - names.keys())}, "
            "which it does not define"
        )
    return [Category(c, names[c]) for c in sorted(annotated) if ":" in names[c]]


def _collect_paco(
    url: str, categories: list[Category], collector: Collector, progress: Progress | None
) -> None:
    images: dict[int, tuple[str, int, int]] = {}
    boxes: dict[int, Box] = {}
    # Two passes, because parts may come before their objects and images.
    for key, entry in stream_lists(url, ("images", "annotations"), progress):
        where = f"{url}: {key}, id {entry.get('id')!r}"
        if key == "images":
            number, image = image_of(entry, where)
            images[number] = image
        elif entry.get("id") == entry.get("obj_ann_id"):
            boxes[whole_number(entry, "id", where)] = corners(entry.get("bbox"), where)
    parts = {category.class_id for category in categories}
    for _, entry in stream_lists(url, ("annotations",), progress):
        where = f"{url}: annotation {entry.get('id')!r}"
        class_id = whole_number(entry, "category_id", where)
        if class_id not in parts:
            continue
        number, instance = (whole_number(entry, key, where) for key in ("image_id", "obj_ann_id"))
        if number not in images or instance not in boxes:
            raise SourceError(f"{where}: no image {number} or no object {instance} in the file")
        path, height, width = images[number]
        rle = to_rle(entry.get("segmentation"), (height, width), where)
        collector.add(path, class_id, instance, rle, boxes[instance])
