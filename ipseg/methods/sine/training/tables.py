"""Annotation files of COCO's two formats as Arrow tables that workers map into memory.

Made once for a training: the JSON of a large collection takes minutes to read and gigabytes of
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.benchmarks.annotations.json_stream import ImageEntry, stream_lists, whole_number
from ipseg.benchmarks.annotations.segmentation import to_rle
from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.errors import SourceError
from ipseg.storage.files import write_whole

Progress = Callable[[int, int], None]  # bytes read, all bytes
ImageId = int | str  # ADE20K's panoptic file has names of images
Images = dict[ImageId, ImageEntry]

IMAGES = pa.schema(
    [
        ("path", pa.string()),  # below the folder of images
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("map", pa.string()),  # below the folder of maps; null for instances
    ]
)
SEGMENTS = pa.schema(
    [
        ("image", pa.int32()),  # its row
        ("id", pa.int64()),
        ("class", pa.int32()),
        ("counts", pa.large_string()),  # COCO's compressed run lengths; null for panoptic
    ]
)
_ROWS = 2**16  # of a batch while a table grows


@dataclass(frozen=True)
class Tables:
    """One annotation file.

    Attributes:
        images: those with an object, by `IMAGES`.
        segments: by `SEGMENTS`, in the order of their images.
    """

    images: pa.Table
    segments: pa.Table

    def write(self, address: Path) -> None:
        """Writes ADDRESS.images.arrow and ADDRESS.segments.arrow, the last one last."""
        for name in ("images", "segments"):
            sink = pa.BufferOutputStream()
            table: pa.Table = getattr(self, name)
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            write_whole(f"{address}.{name}.arrow", sink.getvalue().to_pybytes())

    @staticmethod
    def open(address: Path) -> Tables | None:
        """What `write` wrote, mapped into memory; None if it is not there."""
        if not Path(f"{address}.segments.arrow").exists():
            return None
        return Tables(
            *(
                pa.ipc.open_file(pa.memory_map(f"{address}.{name}.arrow")).read_all()
                for name in ("images", "segments")
            )
        )


def instance_tables(url: str, progress: Progress | None, dropped: Dropped) -> Tables:
    """The objects of `{"images", "annotations", "categories"}`; crowds are left out.

    Args:
        url: of the file.
        progress: of each pass over it.
        dropped: takes up what cannot be used.

    Raises:
        SourceError: the file is damaged, or hardly any record is usable.
        OSError: it cannot be read.
    """

    def objects(images: Images) -> Iterator[tuple[Any, ...]]:
        for image, entry in _annotations(url, progress, dropped, images):
            with dropped.record():
                if entry.get("iscrowd"):
                    continue
                where = f"{url}: annotation {entry.get('id')!r}"
                size = images[image].size
                rle = to_rle(entry.get("segmentation"), size, where, dropped)
                if tuple(rle["size"]) != size:
                    raise RecordError(
                        "mask of another size than its image",
                        f"{where} has a mask of {rle['size']}, but an image of {list(size)}",
                    )
                numbers = [whole_number(entry, key, where) for key in ("id", "category_id")]
                yield image, *numbers, rle["counts"]

    return _tables(url, progress, dropped, objects, {})


def panoptic_tables(url: str, progress: Progress | None, dropped: Dropped) -> Tables:
    """The segments of a panoptic file, whose pixels are in one PNG for each image.

    Arguments and errors are those of `instance_tables`.
    """
    maps: dict[ImageId, str] = {}

    def segments(images: Images) -> Iterator[tuple[Any, ...]]:
        for image, entry in _annotations(url, progress, dropped, images):
            where = f"{url}: annotation of image {image!r}"
            maps[image] = str(entry.get("file_name"))
            for each in entry.get("segments_info") or ():
                with dropped.record():
                    if not each.get("iscrowd"):
                        numbers = [whole_number(each, key, where) for key in ("id", "category_id")]
                        yield image, *numbers, None

    return _tables(url, progress, dropped, segments, maps)


def _annotations(
    url: str, progress: Progress | None, dropped: Dropped, images: Images
) -> Iterator[tuple[ImageId, dict[str, Any]]]:
    """Those of the images that the file lists, by the id of their image; others are counted."""
    unlisted, example = 0, ""
    for _, entry in stream_lists(url, ("annotations",), progress):
        image = entry.get("image_id")
        if isinstance(image, ImageId) and image in images:
            yield image, entry
            continue
        unlisted += 1
        example = example or (
            f"{url}: an annotation has image_id {image!r}; ids of images are such as "
            f"{', '.join(map(repr, islice(images, 2))) or 'none'}"
        )
    if unlisted:
        reason = "annotation of an image that is not listed"
        dropped.restore([{"reason": reason, "count": unlisted, "example": example}])


def _tables(
    url: str,
    progress: Progress | None,
    dropped: Dropped,
    segments: Callable[[Images], Iterator[tuple[Any, ...]]],
    maps: dict[ImageId, str],
) -> Tables:
    images: Images = {}
    for _, entry in stream_lists(url, ("images",), progress):
        with dropped.record():
            images[_image_id(entry, url)] = _image_of(entry, f"{url}: image {entry.get('id')!r}")
    rows = {number: row for row, number in enumerate(images)}
    batches: list[pa.RecordBatch] = []
    columns: list[list[Any]] = [[], [], [], []]

    def close() -> None:
        batches.append(
            pa.record_batch(
                [pa.array(c, f.type) for c, f in zip(columns, SEGMENTS, strict=True)],
                schema=SEGMENTS,
            )
        )
        for column in columns:
            column.clear()

    for image, *rest in segments(images):
        for column, value in zip(columns, (rows[image], *rest), strict=True):
            column.append(value)
        if len(columns[0]) == _ROWS:
            close()
    close()
    dropped.check(url)
    found = pa.Table.from_batches(batches, SEGMENTS)
    if not found.num_rows:
        left_out = [f"{e['count']} left out: {e['reason']}; {e['example']}" for e in dropped.listed]
        raise SourceError("\n  ".join([f"{url} has no object that could be used", *left_out]))
    order = pc.sort_indices(found, sort_keys=[("image", "ascending")])
    listed = [(e.path, e.height, e.width, maps.get(number)) for number, e in images.items()]
    table = pa.Table.from_pylist(
        [dict(zip(IMAGES.names, each, strict=True)) for each in listed], IMAGES
    )
    return Tables(table, found.take(order).combine_chunks())


def _image_id(entry: dict[str, Any], url: str) -> ImageId:
    found = entry.get("id")
    if isinstance(found, bool) or not isinstance(found, ImageId):
        raise RecordError(
            "image without a whole number or a string as its id",
            f"{url}: an image has the id {found!r}, neither a whole number nor a string",
        )
    return found


def _image_of(entry: dict[str, Any], where: str) -> ImageEntry:
    name = entry.get("file_name")
    height, width = (whole_number(entry, key, where) for key in ("height", "width"))
    if not isinstance(name, str) or not name or min(height, width) < 1:
        raise RecordError("image without name or size", f"{where} has no file name or no size")
    return ImageEntry(name, height, width)
