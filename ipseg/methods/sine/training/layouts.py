"""What a folder has to train with: COCO, ADE20K, Objects365, or anything in their formats."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.dropped import Dropped
from ipseg.errors import SourceError
from ipseg.methods.sine.training.annotated import Place
from ipseg.methods.sine.training.tables import Tables, instance_tables, panoptic_tables
from ipseg.wording import counted

_IMAGES = ("train2017", "images/training", "images/train", "train", "images", "")
_EVALUATION = re.compile(r"(^|[_-])(mini)?(val|test)")  # in names of annotations
_INSTANCES = ("instances", "annotations", "objects365", "obj365", "objv2")
_LAYOUTS = """\
  COCO        annotations/instances_train2017.json, annotations/panoptic_train2017.json,
              panoptic_train2017/ (PNG), train2017/
  ADE20K      ade20k_panoptic_train.json, ade20k_panoptic_train/ (PNG), images/training/
  Objects365  annotations/*objects365*.json with masks, images/ or train/
  any other   annotations/instances_train.json in COCO's format, images/train/ or images/
              (as `ipseg export --format coco` writes it)"""


def prepared(
    folder: str, cache: Path, objects365: float, note: Callable[[str], None]
) -> list[Place]:
    """The collections in a folder, with their tables.

    Args:
        folder: on a disk that all workers see.
        cache: folder for tables, which are made once for each version of an annotation file.
        objects365: weight of Objects365 among instance collections.
        note: takes up a line about what is done or left out.

    Raises:
        SourceError: there is nothing to train with, or something of it is missing or damaged; says
            what a folder needs.
    """
    files = annotations_in(folder)
    return [_place(Path(folder).resolve(), file, cache, objects365, note) for file in files]


def annotations_in(folder: str) -> list[Path]:
    """The annotation files in a folder that `prepared` reads; takes no time.

    Raises:
        SourceError: there is nothing to train with.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SourceError(f"the data folder {folder} does not exist, or is no folder")
    files = [file for file in _annotation_files(root.resolve()) if _kind(file)]
    if not files:
        raise SourceError(
            f"{folder} has no annotations to train with; a folder has one of these layouts:\n"
            f"{_LAYOUTS}"
        )
    return files


def _annotation_files(root: Path) -> Iterator[Path]:
    for where in (root, root / "annotations"):
        if where.is_dir():
            yield from sorted(where.glob("*.json"))


def _kind(file: Path) -> str:
    name = file.stem.lower()
    if _EVALUATION.search(name):
        return ""
    if "panoptic" in name:
        return "panoptic"
    return "instance" if any(word in name for word in _INSTANCES) else ""


def _place(
    root: Path, file: Path, cache: Path, objects365: float, note: Callable[[str], None]
) -> Place:
    panoptic = _kind(file) == "panoptic"
    name = f"{root.name}/{file.stem}"
    maps = _maps(root, file) if panoptic else ""
    images = _images(root, file)
    large = not panoptic and "obj" in file.stem.lower() and "365" in f"{root.name}{file.stem}"
    state = file.stat()
    key = hashlib.sha256(f"{file} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
    address = cache / f"{file.stem}-{key}"
    if (tables := Tables.open(address)) is None:
        note(f"reading {file} ({state.st_size / 1e6:,.0f} MB), once")
        dropped = Dropped()
        make = panoptic_tables if panoptic else instance_tables
        tables = make(str(file), None, dropped)
        for each in dropped.listed:
            note(f"{each['count']} left out: {each['reason']}; {each['example']}")
        tables.write(address)
    note(
        f"{name}: {counted(tables.segments.num_rows, 'object')} in "
        f"{counted(tables.images.num_rows, 'image')} of {images}"
    )
    return Place(
        name,
        "panoptic" if panoptic else "instance",
        objects365 if large else 1.0,
        *(str(address), images, maps, tables.segments.num_rows),
    )


def _maps(root: Path, file: Path) -> str:
    for where in (root / file.stem, file.parent / file.stem):
        if where.is_dir():
            return str(where)
    raise SourceError(
        f"{root / file.stem}/ is missing: the PNG files of {file.name} belong there; unpack them"
    )


def _images(root: Path, file: Path) -> str:
    """The folder that names of images are relative to, by the first of them."""
    entry: dict[str, Any]
    _, entry = next(stream_lists(str(file), ("images",)))
    for place in _IMAGES:
        if (root / place / str(entry.get("file_name"))).is_file():
            return str(root / place)
    searched = ", ".join(f"{place or '.'}/" for place in _IMAGES)
    raise SourceError(
        f"{file} lists the image {entry.get('file_name')!r}, which is in none of {searched} below "
        f"{root}; unpack the images there"
    )
