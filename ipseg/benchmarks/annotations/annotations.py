"""Instance masks as one Parquet table, from which LVIS, PACO and PASCAL-Part are read.

It is built once, from the released pickles (keeping their order) or the official JSON files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ipseg.benchmarks.annotations.origin import Origin
from ipseg.benchmarks.annotations.segmentation import Size, to_rle, union
from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.benchmarks.layout import relative_path
from ipseg.errors import OutputError, SourceError
from ipseg.storage.tables import read_table, write_table
from ipseg.vision.masks import RLE, rle_area

Box = tuple[float, float, float, float]

# One row for each mask; draws depend on the order of the images of a class.
ANNOTATIONS = pa.schema(
    [
        ("image", pa.string()),  # path below the image folder
        ("class_id", pa.int32()),
        ("instance", pa.int64()),  # object; the same for all masks of one object
        ("size", pa.list_(pa.int32(), 2)),  # height, width in pixels
        ("counts", pa.string()),  # COCO's compressed run lengths
        ("box", pa.list_(pa.float64(), 4)),  # x0, y0, x1, y1 of the object in pixels, or null
    ]
)
_HEAD, _IMAGE_FOLDER = b"ipseg_annotations", b"ipseg_image_folder"


@dataclass(frozen=True)
class Category:
    """One class of a table.

    Attributes:
        class_id: the data set's number for it.
        name: the data set's name for it; its number if it has no name.
        group: name of its fold if the data set defines that; else "".
        images: to draw from, including repeats; None: the images of its rows, each once.
    """

    class_id: int
    name: str
    group: str = ""
    images: Sequence[str] | None = None


class Collector:
    """Collects the rows of a table.

    Attributes:
        dropped: takes up records that cannot be used.
        released: the lists of images are those of published draws, and are never shortened.
    """

    def __init__(self, dropped: Dropped) -> None:
        self.dropped, self.released = dropped, False
        self._columns: dict[str, list[Any]] = {name: [] for name in ANNOTATIONS.names}
        self._lost: dict[tuple[int, str], RecordError] = {}

    def add(
        self,
        place: tuple[int, str, int],
        segmentation: object,
        size: Size,
        where: str,
        box: Box | None = None,
    ) -> None:
        """Adds the mask of one instance.

        Args:
            place: class id, image and instance.
            segmentation: as for `to_rle`.
            size: as for `to_rle`.
            where: as for `to_rle`.
            box: of the object.

        Raises:
            RecordError: as `to_rle`.
        """
        class_id, image, instance = place
        try:
            rle = to_rle(segmentation, size, where, self.dropped)
        except RecordError as error:
            self.lose(class_id, image, error)
            raise
        row = (image, class_id, instance, rle["size"], rle["counts"], box)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def lose(self, class_id: int, image: str, error: RecordError) -> None:
        """Notes that a record of a class in an image is left out."""
        self._lost.setdefault((class_id, image), error)

    def table(self, categories: Sequence[Category], origin: Origin) -> pa.Table:
        """The table.

        Args:
            categories: all classes in order, including those without rows.
            origin: the files it was made from.

        Raises:
            RecordError: a class has lost an image, whose list is not to be shortened.
        """
        kept = set(zip(self._columns["class_id"], self._columns["image"], strict=True))
        lost = {place: error for place, error in self._lost.items() if place not in kept}
        if self.released and lost:
            raise next(iter(lost.values()))
        head = {
            "categories": [asdict(category) for category in categories],
            "origin": asdict(origin),
            "released": self.released,
            "dropped": self.dropped.listed,
            "lost": [class_id for class_id, _ in lost],
        }
        return pa.table(self._columns, ANNOTATIONS.with_metadata({_HEAD: json.dumps(head)}))


def save_annotations(
    table: pa.Table, name: str, folder: str, out: str | None, image_folder: str
) -> list[str]:
    """Writes a table next to its annotations or, with a reference to the images, elsewhere.

    Args:
        table: schema `ANNOTATIONS`.
        name: file name.
        folder: folder of the annotations.
        out: folder to write to instead; None for `folder`.
        image_folder: folder of the images.

    Returns:
        The file that was written.

    Raises:
        OutputError: it cannot be written.
    """
    if out is not None:
        place = image_folder if "://" in image_folder else str(Path(image_folder).absolute())
        table = table.replace_schema_metadata({**table.schema.metadata, _IMAGE_FOLDER: place})
    url = f"{folder if out is None else out.rstrip('/')}/{name}"
    try:
        write_table(url, table)
    except OSError as error:
        raise OutputError(f"cannot write {url}: {error}; --out DIR writes elsewhere") from error
    return [url]


def read_annotations(url: str) -> Annotations:
    """Reads a table that was saved.

    Raises:
        SourceError: it is damaged or not such a table.
        OSError: it is missing or cannot be read.
    """
    return Annotations(read_table(url, "and run `ipseg data prepare` again"), url)


class Annotations:
    """A table, indexed by class and image.

    Attributes:
        categories: all classes by id, in the order of the data set.
        origin: the files it was made from.
        released: as `Collector.released`.
        dropped: what was left out when it was made, as `Dropped.listed`.
        lost: class id -> images in which nothing is left of the class.
        image_folder: folder of the images; "" for the data set's own.
    """

    def __init__(self, table: pa.Table, where: str) -> None:
        """Indexes a table.

        Args:
            table: schema `ANNOTATIONS`.
            where: its name, for errors.

        Raises:
            SourceError: it has other columns, no list of classes, or an image outside of the image
                folder.
        """
        if not table.schema.equals(ANNOTATIONS) or _HEAD not in (table.schema.metadata or {}):
            raise SourceError(
                f"{where} is not a table of annotations; delete it and run `ipseg data prepare` "
                "again"
            )
        self._where = where
        self.image_folder: str = table.schema.metadata.get(_IMAGE_FOLDER, b"").decode()
        try:
            head = json.loads(table.schema.metadata[_HEAD])
            self.categories = {each["class_id"]: Category(**each) for each in head["categories"]}
            self.origin, self.released = Origin(**head["origin"]), bool(head["released"])
            self.dropped, self.lost = list(head["dropped"]), Counter[int](head["lost"])
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(
                f"{where} is damaged, or of another version of ipseg (no {error}); delete it and "
                "run `ipseg data prepare` again"
            ) from error
        self._table = table.combine_chunks()
        self._rows: dict[int, dict[str, list[int]]] = {c: {} for c in self.categories}
        names, classes = table["image"].to_pylist(), table["class_id"].to_pylist()
        if None in names or not self._rows.keys() >= set(classes):
            raise SourceError(f"{where} is damaged: a row without an image, or of no listed class")
        for name in set(names):
            relative_path(name, where)
        for row, (class_id, name) in enumerate(zip(classes, names, strict=True)):
            self._rows[class_id].setdefault(name, []).append(row)
        self._instances: list[int] = table["instance"].to_pylist()

    @property
    def names(self) -> set[str]:
        """The images of all classes."""
        return {name for images in self._rows.values() for name in images}

    def without(self, images: Collection[str]) -> Annotations:
        """The same table without these images, which count as lost."""
        for class_id, rows in self._rows.items():
            for name in rows.keys() & images:
                del rows[name]
                self.lost[class_id] += 1
        return self

    def images(self, class_id: int) -> list[str]:
        """The images of a class to draw from, in order."""
        listed = self.categories[class_id].images
        return list(self._rows[class_id] if listed is None else listed)

    def instances(self, class_id: int, image: str) -> list[int]:
        """The objects in an image with a mask of the class, in the order of the file."""
        return list(dict.fromkeys(self._instances[row] for row in self._rows[class_id][image]))

    def mask(self, class_id: int, image: str, instance: int | None = None) -> RLE:
        """The union of the masks of a class in an image, or only those of one object.

        Raises:
            SourceError: the masks have different sizes, or one is damaged.
        """
        rows = self._table.select(["size", "counts"]).take(self._of(class_id, image, instance))
        rles: list[RLE] = rows.to_pylist()
        try:
            for rle in rles:
                rle_area(rle)  # checks it: pycocotools would not
        except ValueError as error:
            raise SourceError(f"{self._where}: {image}, class {class_id}: {error}") from error
        if len({tuple(rle["size"]) for rle in rles}) > 1:
            raise SourceError(
                f"{self._where}: masks of {image}, class {class_id}, differ in size: "
                + ", ".join(sorted({"x".join(map(str, rle["size"])) for rle in rles}))
            )
        return rles[0] if len(rles) == 1 else union(rles)

    def box(self, class_id: int, image: str, instance: int) -> Box:
        """Annotated box of an object: x0, y0, x1, y1 in pixels."""
        row = self._of(class_id, image, instance)[0]
        box: Box = tuple(self._table["box"][row].as_py())
        return box

    def _of(self, class_id: int, image: str, instance: int | None) -> list[int]:
        rows = self._rows[class_id][image]
        return [row for row in rows if instance is None or self._instances[row] == instance]
