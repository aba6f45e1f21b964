"""COCO-20i's split lists: class -> images, as released (a pickle) or converted (Parquet)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES
from ipseg.benchmarks.annotations.unpickling import load_plain
from ipseg.errors import SourceError
from ipseg.storage.files import read_bytes
from ipseg.storage.tables import read_table, write_table

FOLDS = 4

# In the order of the pickle, because draws depend on it.
SPLIT = pa.schema([("class_id", pa.int32()), ("image", pa.string())])

_IMAGE = re.compile(r"(?P<folder>train2014|val2014)/COCO_(?P=folder)_\d{12}\.jpg")


def fold_classes(fold: int) -> range:
    """The test classes of a fold: every fourth class."""
    return range(fold, len(COCO_CLASSES), FOLDS)


def read_split(url: str) -> dict[int, list[str]]:
    """Class -> image paths, relative to the data set.

    Args:
        url: of `fold{f}.parquet`, or of the released `fold{f}.pkl`.

    Raises:
        SourceError: the file is missing, damaged, or does not contain class -> images.
        OSError: it cannot be read.
    """
    try:
        parquet = url.endswith(".parquet")
        listed = _from_parquet(url) if parquet else load_plain(read_bytes(url), url)
    except FileNotFoundError as error:
        raise SourceError(f"{url} is missing") from error
    if not isinstance(listed, dict):
        raise SourceError(f"{url} contains a {type(listed).__name__}, not class -> list of images")
    return {_class_id(key, url): _images(names, key, url) for key, names in listed.items()}


def write_split(url: str, images: Mapping[int, Sequence[str]]) -> None:
    """Writes class -> images as Parquet, keeping their order.

    Raises:
        OSError: it cannot be written.
    """
    records = [{"class_id": c, "image": name} for c, names in images.items() for name in names]
    write_table(url, pa.Table.from_pylist(records, SPLIT))


def _from_parquet(url: str) -> dict[object, object]:
    table = read_table(url, "and prepare it again")
    if not set(SPLIT.names) <= set(table.column_names):
        raise SourceError(
            f"{url} has the columns {', '.join(table.column_names)}; it should have "
            f"{' and '.join(SPLIT.names)}"
        )
    images: dict[object, list[object]] = {}
    columns = (table[name].to_pylist() for name in SPLIT.names)
    for class_id, image in zip(*columns, strict=True):
        images.setdefault(class_id, []).append(image)
    return dict(images)


def _class_id(key: object, url: str) -> int:
    if not isinstance(key, int) or not 0 <= key < len(COCO_CLASSES):
        raise SourceError(f"{url} lists class {key!r}; classes are 0 to {len(COCO_CLASSES) - 1}")
    return key


def _images(names: object, key: object, url: str) -> list[str]:
    if not isinstance(names, list):
        raise SourceError(f"{url}: class {key} has a {type(names).__name__}, not a list of images")
    for name in names:
        if not isinstance(name, str) or not _IMAGE.fullmatch(name):
            raise SourceError(
                f"{url}: class {key} lists {name!r}; names should be like "
                "val2014/COCO_val2014_000000000042.jpg"
            )
    return names
