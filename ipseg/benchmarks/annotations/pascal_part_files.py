"""PASCAL-Part's JSON files, whose format is not documented.

Assumed for `all_obj_part_to_image.json`: nested dictionaries whose leaves are lists of image names.
The keys are the split ("train" or "val", innermost or one of the two outermost), the superclass
(may be missing) and then `object+part`, or object and part as nested keys.

Assumed for `Annotations_Part_json_merged_part_classes/<id>.json`: a list `object`, each with
`name`, `bndbox` (a dictionary with xmin, ymin, xmax, ymax, or a list of these four) and a list
`parts`, each with `name` (or `part_name`) and `mask` (or `segmentation`), run lengths. Anything
else is an error that names the file and the entry: published draws depend on every object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ipseg.benchmarks.annotations.annotations import Box, Category, Collector
from ipseg.benchmarks.annotations.released import finite
from ipseg.benchmarks.annotations.threads import read_all
from ipseg.benchmarks.benchmark import Progress
from ipseg.errors import SourceError
from ipseg.storage.files import read_bytes

INDEX = "all_obj_part_to_image.json"
GROUPS = ("animals", "indoor", "person", "vehicles")

OBJECTS = "Annotations_Part_json_merged_part_classes"
_SKIPPED = "aeroplane+TAIL"  # as in the released loader
_SPLITS = ("train", "val")
_IMAGE_NAME = re.compile(r"(?P<id>\w[\w\-]*)(?:\.jpg)?")
_GROUP_OF = {
    **dict.fromkeys(("bird", "cat", "cow", "dog", "horse", "sheep"), "animals"),
    **dict.fromkeys(("bottle", "chair", "diningtable", "pottedplant", "sofa"), "indoor"),
    **dict.fromkeys(("tvmonitor",), "indoor"),
    **dict.fromkeys(("person",), "person"),
    **dict.fromkeys(("aeroplane", "bicycle", "boat", "bus", "car"), "vehicles"),
    **dict.fromkeys(("motorbike", "train"), "vehicles"),
}


def collect_pascal_part(
    folder: str, collector: Collector, progress: Progress | None
) -> list[Category]:
    """Adds every mask of the validation set.

    Args:
        folder: the folder VOC2010.
        collector: receives the masks.
        progress: called with (images read, all images).

    Returns:
        The classes with training and validation images, numbered in the order of the file.

    Raises:
        SourceError: a file is missing or malformed (names file and entry).
        OSError: a file cannot be read.
    """
    collector.released = True
    categories = _classes(f"{folder}/{INDEX}")
    wanted: dict[str, dict[str, int]] = {}
    for category in categories:
        for image in category.images or ():
            wanted.setdefault(image, {})[category.name] = category.class_id
    urls = [f"{folder}/{OBJECTS}/{image.removesuffix('.jpg')}.json" for image in wanted]
    files = read_all(_read_json, urls, progress)
    for image, url, data in zip(wanted, urls, files, strict=True):
        _collect(url, data, image, wanted[image], collector)
    return categories


def _classes(url: str) -> list[Category]:
    lists: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path, listed in _leaves(_read_json(url), (), url):
        where = f"{url}: {' / '.join(path)}"
        group, name, split = _meaning(path, where)
        of_class = lists.setdefault((group, name), {})
        of_class.setdefault(split, []).extend(_image_name(item, where) for item in listed)
    kept = [
        (name, group, splits["val"])
        for (group, name), splits in lists.items()
        if name != _SKIPPED and all(splits.get(split) for split in _SPLITS)
    ]
    return [Category(number, *category) for number, category in enumerate(kept)]


def _leaves(
    node: object, path: tuple[str, ...], url: str
) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key), url)
    elif isinstance(node, list) and path:
        yield path, node
    else:
        raise SourceError(f"{url}: {' / '.join(path) or 'the file'} is not a list of images")


def _meaning(path: Sequence[str], where: str) -> tuple[str, str, str]:
    """Superclass, `object+part` and split of a list, from its keys."""
    keys = list(path)
    # "train" is an object class too, so the innermost key is tried first.
    at = next((at for at in (len(keys) - 1, *range(len(keys))[:2]) if keys[at] in _SPLITS), None)
    split = "" if at is None else keys.pop(at)
    group = keys.pop(0) if keys and keys[0] in GROUPS else None
    name = "+".join(keys)
    if group == "person" and "+" not in name:
        name = f"person+{name}"
    group = group or _GROUP_OF.get(name.partition("+")[0])
    if not split or group is None or not re.fullmatch(r"[^+]+\+.+", name):
        raise SourceError(f"{where}: the keys do not give split, superclass, object and part")
    return group, name, split


def _image_name(item: object, where: str) -> str:
    match = _IMAGE_NAME.fullmatch(item) if isinstance(item, str) else None
    if match is None:
        raise SourceError(f"{where}: {item!r} is not the name of an image")
    return f"{match['id']}.jpg"


def _collect(
    url: str, data: object, image: str, classes: dict[str, int], collector: Collector
) -> None:
    found = set()
    for number, thing in enumerate(_list(data, "object", url)):
        where = f"{url}: object {number}"
        for position, part in enumerate(_list(thing, "parts", where, [])):
            here = f"{where}, part {position}"
            if not isinstance(part, dict):
                raise SourceError(f"{here} is not a JSON object")
            name = f"{thing.get('name')}+{part.get('name', part.get('part_name'))}"
            if name in classes:
                box = _corners(thing.get("bndbox"), where)
                mask = part.get("mask", part.get("segmentation"))
                collector.add((classes[name], image, number), mask, _no_size, here, box)
                found.add(name)
    if missing := classes.keys() - found:
        raise SourceError(f"{url} has no {', '.join(sorted(missing))}, but {INDEX} lists it")


def _list(entry: object, key: str, where: str, default: object = None) -> list[Any]:
    value = entry.get(key, default) if isinstance(entry, dict) else None
    if not isinstance(value, list):
        raise SourceError(f"{where} has no list '{key}'")
    return value


def _corners(box: object, where: str) -> Box:
    values: Any = box
    if isinstance(box, dict):
        values = [box.get(key) for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x0, y0, x1, y1 = finite(values)
    except (TypeError, ValueError):
        raise SourceError(f"{where}: {box!r} is not a bndbox") from None
    return x0, y0, x1, y1


def _no_size() -> NoReturn:
    raise ValueError("polygons instead of run lengths")


def _read_json(url: str) -> object:
    try:
        return json.loads(read_bytes(url))
    except FileNotFoundError as error:
        raise SourceError(f"{url} is missing") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{url} is not valid JSON: {error}") from error
