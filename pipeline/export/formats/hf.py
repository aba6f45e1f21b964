"""Parquet that `datasets` decodes: images, masks as run lengths, names of concepts.

A feature counts only where its Arrow type is exactly that of the column; lists have the form that
datasets 3, 4 and 5 read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.objects import RLE_TYPE
from ipseg.storage.files import filesystem
from ipseg.storage.retry import with_retry
from ipseg.storage.streams import whole_file
from pipeline.export.rolling import RollingWriter
from pipeline.export.writer import About, Annotation, Entry

_GROUP_BYTES = 32 * 2**20  # of a row group: what streaming readers and the viewer take at once
_FILE_BYTES = 400 * 2**20
_ROW_BYTES = 500  # of a row beside its image and masks, about
_VALIDATION = {"val": "validation", "valid": "validation"}  # as the library calls it

_OBJECT = pa.struct(
    [
        *(("ann_id", pa.int64()), ("category_id", pa.int64())),  # int32 would lose the names
        *(("bbox", pa.list_(pa.float32(), 4)), ("area", pa.int64()), ("iscrowd", pa.int8())),
        *(("segmentation", RLE_TYPE), ("score", pa.float32()), ("status", pa.string())),
    ]
)
_COLUMNS = pa.schema(
    [
        *(("image_id", pa.int64()), ("file_name", pa.string()), ("key", pa.string())),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *(("width", pa.int32()), ("height", pa.int32()), ("objects", pa.list_(_OBJECT))),
        *(("model", pa.string()), ("config_sha256", pa.string())),
    ]
)


class HuggingFace(RollingWriter):
    """`data/SIDE-00000-of-000NN.parquet`; the side `val` is called `validation`."""

    name: ClassVar[str] = "hf"
    owns: ClassVar[tuple[str, ...]] = ("data",)
    folder: ClassVar[str] = ""

    def open(self) -> None:
        """Opens the first file."""
        self._split = _VALIDATION.get(self.side, self.side)
        self._schema = _COLUMNS.with_metadata({"huggingface": json.dumps(_features(self.about))})
        super().open()

    def begin(self) -> None:
        """Opens a file, whose name gets the number of all files at the end."""
        file = self.files.enter_context(whole_file(self._unfinished(self.number)))
        writer = pq.ParquetWriter(file, self._schema, compression="zstd", write_page_index=True)
        self._writer = self.files.enter_context(writer)
        self._rows: list[dict[str, Any]] = []
        self._bytes = self._written = 0

    def is_full(self, images: int) -> bool:
        """By bytes, unless the options give a number of images."""
        by_bytes = self.about.options.per_file is None and self._written >= _FILE_BYTES
        return by_bytes or super().is_full(images)

    def put(self, entry: Entry) -> None:
        """Collects an image, and writes a row group when there is enough for one."""
        path = entry.uri if entry.data is None else entry.name.rpartition("/")[2]
        self._rows.append(
            {
                **{"image_id": entry.id, "file_name": entry.name, "key": entry.key},
                "image": {"bytes": entry.data, "path": path},
                **{"width": entry.width, "height": entry.height},
                "objects": [_record(each) for each in entry.objects],
                "model": self.about.model,
                "config_sha256": self.about.config_sha256,
            }
        )
        masks = sum(len(each.found.segmentation["counts"]) for each in entry.objects)
        self._bytes += len(entry.data or b"") + masks + _ROW_BYTES
        if self._bytes >= _GROUP_BYTES:
            self._write()

    def end(self) -> None:
        """Writes the last row group; a file without rows has its schema."""
        if self._rows:
            self._write()

    def close(self) -> None:
        """Completes the last file and gives all their names."""
        self.end()
        self.files.close()
        count = self.number + 1
        for number in range(count):
            final = f"data/{self._split}-{number:05d}-of-{count:05d}.parquet"
            self.about.files.append(final)
            _rename(self._unfinished(number), f"{self.about.to}/{final}")

    def _write(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._written += self._bytes
        self._rows, self._bytes = [], 0

    def _unfinished(self, number: int) -> str:
        return f"{self.about.to}/data/unfinished-{self._split}-{number:05d}.parquet"

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: datasets, and run lengths."""
        return (
            "```python\nfrom datasets import load_dataset\nfrom pycocotools import mask\n\n"
            'data = load_dataset("path/to/this/folder", streaming=True)\n'
            f'row = next(iter(data["{_VALIDATION.get(sides[0], sides[0])}"]))\n'
            'row["image"]  # a Pillow image, upright\n'
            'for found in row["objects"]:\n'
            '    mask.decode(found["segmentation"])  # (height, width), 0 or 1\n```'
        )

    @classmethod
    def front_matter(cls, about: About, sides: Sequence[str]) -> dict[str, Any]:
        """What the hub and `load_dataset` read of the card."""
        splits = [_VALIDATION.get(side, side) for side in sides]
        return {
            "task_categories": ["image-segmentation"],
            "tags": ["pseudo-labels", "ipseg"],
            "size_categories": [_size(sum(about.images.values()))],
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [{"split": s, "path": f"data/{s}-*"} for s in splits],
                }
            ],
        }


def _record(each: Annotation) -> dict[str, Any]:
    found = each.found
    return {
        **{"ann_id": each.id, "category_id": each.category},
        **{"bbox": found.bbox, "area": found.area, "iscrowd": 0},
        **{"segmentation": found.segmentation, "score": found.score, "status": found.status},
    }


def _features(about: About) -> dict[str, Any]:
    def of(kind: str) -> dict[str, Any]:
        return {"dtype": kind, "_type": "Value"}

    def list_of(kind: str, length: int) -> dict[str, Any]:
        return {"feature": of(kind), "length": length, "_type": "Sequence"}

    names = {"names": ["background", *about.categories], "_type": "ClassLabel"}
    objects = {
        **{"ann_id": of("int64"), "category_id": names, "bbox": list_of("float32", 4)},
        **{"area": of("int64"), "iscrowd": of("int8")},
        "segmentation": {"size": list_of("int32", 2), "counts": of("string")},
        **{"score": of("float32"), "status": of("string")},
    }
    features = {
        **{"image_id": of("int64"), "file_name": of("string"), "key": of("string")},
        **{"image": {"_type": "Image"}, "width": of("int32"), "height": of("int32")},
        **{"objects": [objects], "model": of("string"), "config_sha256": of("string")},
    }
    return {"info": {"features": features}}


def _rename(old: str, new: str) -> None:
    fs, source = filesystem(old)
    target = filesystem(new)[1]
    with_retry(new, lambda: fs.mv(source, target))


def _size(images: int) -> str:
    """As the hub names sizes: `10K<n<100K`."""
    bounds = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M")]
    below = ""
    for most, name in bounds:
        if images < most:
            return f"{below}n<{name}"
        below = f"{name}<"
    return "n>10M"
