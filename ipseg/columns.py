"""Every column a row can have, with its Arrow type: the typed boundary between processes.

A column without an Arrow type is *local*: pixels and the like, which never leave the worker that
made them. Where a later stage needs a local column, the step that makes it runs again there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ipseg.rows import Row

_TENSOR = pa.struct(
    [("dtype", pa.string()), ("shape", pa.list_(pa.int32())), ("data", pa.large_binary())]
)
POINT = pa.struct([("x", pa.float32()), ("y", pa.float32()), ("label", pa.int8())])
RLE = pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])
OBJECT = pa.struct(
    [
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("bbox", pa.list_(pa.float32(), 4)),  # x, y, width, height
        ("area", pa.float32()),  # mask pixels
        ("iscrowd", pa.int8()),
        ("segmentation", RLE),
        ("score", pa.float32()),  # confidence that this is the concept, well outlined
        ("predicted_iou", pa.float32()),  # the segmenter's estimate of the outline alone
        ("presence", pa.float32()),  # evidence that the concept is in the image at all
        ("similarity_max", pa.float32()),  # of the fused map
        ("similarity_inside", pa.float32()),  # its mean over the cells in the mask
        ("similarity_outside", pa.float32()),  # its mean over the other cells
        ("status", pa.string()),  # "auto" until somebody reviews it
        ("points", pa.list_(POINT)),  # pixels of the original image, label 1 in, 0 out
    ]
)
METRIC = pa.struct(
    [
        ("concept", pa.string()),
        ("present", pa.bool_()),  # the ground truth has the concept in this image
        ("intersection", pa.int64()),
        ("union", pa.int64()),
        ("iou", pa.float32()),  # null when the concept is absent
    ]
)

EPISODE = pa.struct(
    [
        ("episode", pa.int64()),
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("entry", pa.string()),  # of the prompt bank: what its supports show
        ("truth", pa.string()),  # address of the ground truth
    ]
)
_ANSWER = [
    ("variant", pa.string()),  # settings of a sweep
    ("entry", pa.string()),
    ("segmentation", RLE),
    ("predicted_iou", pa.float32()),
    ("score", pa.float32()),
    ("points", pa.list_(POINT)),
]
ANSWER = pa.struct(_ANSWER)
RESULT = pa.struct(
    [
        ("episode", pa.int64()),
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        *_ANSWER,
        ("status", pa.string()),  # "ok", or "failed": the ground truth cannot be read
        ("error_message", pa.string()),
        *(
            (name, pa.int64())
            for name in ("pixels", "intersection", "union", "ground_truth", "predicted")
        ),
        *((name, pa.int64()) for name in ("ground_truth_boundary", "ground_truth_matched")),
        *((name, pa.int64()) for name in ("predicted_boundary", "predicted_matched")),
    ]
)


def _encode_tensor(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def _decode_tensor(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(value["data"], np.dtype(value["dtype"])).reshape(value["shape"])


DESCRIPTION = pa.list_(
    pa.struct([("extractor", pa.string()), ("name", pa.string()), ("tensor", _TENSOR)])
)


def encode_description(description: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Extractor -> array name -> array, as a list that Arrow can hold."""
    return [
        {"extractor": extractor, "name": name, "tensor": _encode_tensor(array)}
        for extractor, arrays in description.items()
        for name, array in arrays.items()
    ]


def decode_description(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The inverse of `encode_description`."""
    description: dict[str, dict[str, Any]] = {}
    for item in items:
        arrays = description.setdefault(item["extractor"], {})
        arrays[item["name"]] = _decode_tensor(item["tensor"])
    return description


@dataclass(frozen=True)
class Column:
    """One declared column.

    Attributes:
        meaning: what the values are, with shape and units.
        arrow: type between processes; None keeps the column inside one worker.
        encode: Python value -> what Arrow can hold; None where it already can.
        decode: the inverse.
    """

    meaning: str
    arrow: pa.DataType | None
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None


COLUMNS: dict[str, Column] = {
    "key": Column("stable id of the row within its source", pa.string()),
    "shard": Column("part of the source the row came from; names the output shard", pa.string()),
    "uri": Column("where the picture is; `pipeline.sources.source.fetch` reads it", pa.string()),
    "image_bytes": Column("the encoded picture, or null before it is read", pa.large_binary()),
    "image": Column("(H, W, 3) uint8 RGB", None),
    "width": Column("pixels", pa.int32()),
    "height": Column("pixels", pa.int32()),
    "concept": Column("what a prompt image shows", pa.string()),
    "mask_bytes": Column("encoded mask given with a prompt image, or null", pa.large_binary()),
    "image_sha256": Column("64 hex digits over the encoded picture of a prompt", pa.string()),
    "prompt_mask": Column("PNG, 8 bit, (H, W): the object of a prompt image", pa.large_binary()),
    "mask_source": Column("'saliency' or 'given'", pa.string()),
    "warning": Column("what looks wrong with a prompt, or null", pa.string()),
    "thumbnail": Column("JPEG of a prompt image, long side 320", pa.large_binary()),
    "description": Column(
        "what each extractor remembers of a prompt: extractor -> name -> array",
        DESCRIPTION,
        encode_description,
        decode_description,
    ),
    "similarity": Column(
        "(P, gh, gw) float32, fused, concepts in the bank's order",
        _TENSOR,
        _encode_tensor,
        _decode_tensor,
    ),
    "presence": Column(
        "(P,) float32 in [0, 1]: evidence that the concept is there",
        _TENSOR,
        _encode_tensor,
        _decode_tensor,
    ),
    "points": Column(
        "for each of P concepts its point prompts, in pixels", pa.list_(pa.list_(POINT))
    ),
    "objects": Column("masks found, at most one for each concept", pa.list_(OBJECT)),
    "metrics": Column("comparison with the ground truth, one for each concept", pa.list_(METRIC)),
    "crop": Column("x0, y0, x1, y1: the part of the picture that counts", pa.list_(pa.int32())),
    "truth": Column("address of the mask of a support", pa.string()),
    "episodes": Column("what an image is asked for, one for each episode", pa.list_(EPISODE)),
    "answers": Column("a mask for each variant and bank entry", pa.list_(ANSWER)),
    "results": Column("answers compared with the truth, by episode", pa.list_(RESULT)),
    "error_stage": Column("step that failed, or null", pa.string()),
    "error_type": Column("exception class, or null", pa.string()),
    "error_message": Column("what went wrong, at most 500 characters, or null", pa.string()),
}

ERROR_COLUMNS = ("error_stage", "error_type", "error_message")


def is_local(name: str) -> bool:
    """True for a column that never leaves the worker that made it."""
    return COLUMNS[name].arrow is None


def to_table(rows: Sequence[Row], names: Iterable[str]) -> pa.Table:
    """Rows as an Arrow table with the given (travelling) columns; a missing value is null."""
    arrays, fields = [], []
    for name in names:
        column = COLUMNS[name]
        encode = column.encode
        values = [row.get(name) for row in rows]
        if encode is not None:
            values = [None if value is None else encode(value) for value in values]
        arrays.append(pa.array(values, column.arrow))
        fields.append(pa.field(name, column.arrow))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def from_table(table: pa.Table) -> list[Row]:
    """The inverse of `to_table`; a null is left out of its row, as if never provided."""
    decoders = {name: COLUMNS[name].decode for name in table.column_names}
    rows: list[Row] = []
    for record in table.to_pylist():
        row: Row = {}
        for name, value in record.items():
            if value is not None:
                decode = decoders[name]
                row[name] = value if decode is None else decode(value)
        rows.append(row)
    return rows
