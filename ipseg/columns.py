"""Every column a row can have, with its Arrow type: the typed boundary between processes.

A column without an Arrow type is *local*: pixels and the like, which never leave the worker that
made them. Where a later stage needs a local column, the step that makes it runs again there.

A name may carry a suffix, as in `similarity@2`: the column of one of several chains that run side
by side (`ipseg.methods.side_by_side`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ipseg.crowd import CROWD, Crowd
from ipseg.objects import OBJECT, POINT, RLE_TYPE, Object, decode_points, encode_points
from ipseg.rows import Row

_TENSOR = pa.struct(
    [("dtype", pa.string()), ("shape", pa.list_(pa.int32())), ("data", pa.large_binary())]
)
_ARRAYS = pa.list_(pa.struct([("name", pa.string()), ("tensor", _TENSOR)]))
ASK = pa.struct(
    [
        ("concept", pa.string()),  # entry of the bank
        ("episode", pa.int64()),  # null where nothing is evaluated by episodes
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("frame", pa.int32()),  # that it is asked for; 0 in a still image
        ("ground_truth", pa.string()),  # of that frame: an address; null: nothing to compare with
    ]
)
PROMPT = pa.struct(
    [
        ("chain", pa.string()),  # which of several ways to describe prompts; "" for the only one
        ("mask", RLE_TYPE),
        ("mask_source", pa.string()),
        ("warning", pa.string()),
        ("features", _ARRAYS),
    ]
)
METRIC = pa.struct(
    [
        ("variant", pa.string()),
        *ASK.fields[:6],
        ("status", pa.string()),  # "ok", or "failed": nothing could be compared
        ("error_message", pa.string()),
        ("mask", pa.string()),  # file of the ground truth; null where none says so
        ("turned", pa.bool_()),  # whether it was turned as its image is
        *(
            (name, pa.int64())
            for name in ("pixels", "intersection", "union", "ground_truth", "predicted")
        ),
        *((name, pa.int64()) for name in ("ground_truth_boundary", "ground_truth_matched")),
        *((name, pa.int64()) for name in ("predicted_boundary", "predicted_matched")),
        # Null where the ground truth does not tell instances apart.
        *((f"instances{name}", pa.int64()) for name in ("", "_found", "_matched")),
        ("instance_scores", pa.list_(pa.float32())),
        ("instance_levels", pa.list_(pa.int32())),
        ("predicted_iou", pa.float32()),  # of the object with the highest score
        ("score", pa.float32()),  # the highest; 0 where nothing was found
    ]
)
CHAIN_ERROR = pa.struct(
    [
        ("chain", pa.string()),  # label of the chain
        *((f"error_{name}", pa.string()) for name in ("stage", "type", "message")),
    ]
)


def _encode_tensor(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def _decode_tensor(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(value["data"], np.dtype(value["dtype"])).reshape(value["shape"])


def encode_arrays(arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """Array name -> array, as a list that Arrow can hold."""
    return [{"name": name, "tensor": _encode_tensor(array)} for name, array in arrays.items()]


def decode_arrays(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The inverse of `encode_arrays`."""
    return {item["name"]: _decode_tensor(item["tensor"]) for item in items}


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


def _tensor(meaning: str) -> Column:
    return Column(meaning, _TENSOR, _encode_tensor, _decode_tensor)


# A module with a method of its own adds the columns its steps hand from stage to stage.
COLUMNS: dict[str, Column] = {
    "key": Column("stable id of the row within its source", pa.string()),
    "shard": Column("part of the source the row came from; names the output shard", pa.string()),
    "uri": Column("address of the image; `ipseg.storage.addresses.fetch` reads it", pa.string()),
    "version": Column("of the image's file: changes when it is replaced; or null", pa.string()),
    "content_hash": Column("32 hex digits over the encoded image", pa.string()),
    "carried": Column("JSON: columns of the source that go along to the output", pa.string()),
    "image_bytes": Column("the encoded image, or null before it is read", pa.large_binary()),
    "image": Column("(H, W, 3) uint8 RGB, upright", None),
    "frame_uris": Column("addresses of the frames of a sequence, in order", pa.list_(pa.string())),
    "frames": Column("sequence of (H, W, 3) uint8 RGB, each decoded when it is asked for", None),
    "width": Column("pixels", pa.int32()),
    "height": Column("pixels", pa.int32()),
    "orientation": Column("EXIF orientation of the stored pixels, 1 (upright) to 8", pa.int8()),
    "crop": Column("x0, y0, x1, y1 in stored pixels: what counts", pa.list_(pa.int32())),
    "concept": Column("what a prompt image is an example of", pa.string()),
    "given_mask": Column("address of the mask beside a prompt", pa.string()),
    "given_box": Column("x0, y0, x1, y1: the box beside a prompt", pa.list_(pa.float32())),
    "given_points": Column("points x, y in pixels on a prompt's object", pa.list_(POINT)),
    "ground_truth": Column("address of the ground-truth mask of a support", pa.string()),
    "image_sha256": Column("64 hex digits over the encoded image of a prompt", pa.string()),
    "support_mask": Column("PNG, 8 bit, (H, W): the object of a prompt image", pa.large_binary()),
    "mask_source": Column("where the support mask comes from: mask, saliency ...", pa.string()),
    "warning": Column("what looks wrong with a prompt, or null", pa.string()),
    "thumbnail": Column("JPEG of a prompt image, long side 320", pa.large_binary()),
    "prompt_features": Column(
        "what a method keeps of a prompt: array name -> array",
        _ARRAYS,
        encode_arrays,
        decode_arrays,
    ),
    "prompts": Column(
        "what each chain keeps of a prompt image, schema `PROMPT`",
        pa.list_(PROMPT),
        lambda prompts: [{**p, "features": encode_arrays(p["features"])} for p in prompts],
        lambda records: [{**r, "features": decode_arrays(r["features"])} for r in records],
    ),
    "asks": Column("what a row is asked for; null: every concept", pa.list_(ASK)),
    "similarity": _tensor("(P, gh, gw) float32, fused, for the P concepts a row is asked for"),
    "presence": _tensor("(P,) float32 in [0, 1]: evidence that the concept is in the image"),
    "local_presence": _tensor("(P, gh, gw) float32 in [0, 1]: evidence at each cell"),
    "placements": Column(
        "for each of P concepts (n, 4 gh, 4 gw) float32 in [0, 1]: separate instances",
        pa.list_(_TENSOR),
        lambda placements: [_encode_tensor(each) for each in placements],
        lambda items: [_decode_tensor(each) for each in items],
    ),
    "points": Column(
        "for each of P concepts its point prompts, (n, 3): x, y in pixels, label",
        pa.list_(pa.list_(POINT)),
        lambda points: [encode_points(each) for each in points],
        lambda items: [decode_points(each) for each in items],
    ),
    "crowds": Column(
        "what is known of each concept where instances are counted",
        pa.list_(CROWD),
        lambda crowds: [each.record() for each in crowds],
        lambda records: [Crowd.from_record(each) for each in records],
    ),
    "objects": Column(
        "objects found",
        pa.list_(OBJECT),
        lambda objects: [each.record() for each in objects],
        lambda records: [Object.from_record(each) for each in records],
    ),
    "kept_objects": Column(
        "objects of other concepts that an earlier run found",
        pa.list_(OBJECT),
        lambda objects: [each.record() for each in objects],
        lambda records: [Object.from_record(each) for each in records],
    ),
    "kept_crowds": Column(
        "crowds of other concepts that an earlier run found",
        pa.list_(CROWD),
        lambda crowds: [each.record() for each in crowds],
        lambda records: [Crowd.from_record(each) for each in records],
    ),
    "kept_metrics": Column("metrics of an earlier run for other concepts", pa.list_(METRIC)),
    "metrics": Column("comparison with the ground truth, one for each ask", pa.list_(METRIC)),
    "chain_errors": Column("chains that failed on the row, others did not", pa.list_(CHAIN_ERROR)),
    "error_stage": Column("step that failed, or null", pa.string()),
    "error_type": Column("exception class, or null", pa.string()),
    "error_message": Column("what went wrong, at most 500 characters, or null", pa.string()),
}

ERROR_COLUMNS = ("error_stage", "error_type", "error_message")


def column(name: str) -> Column:
    """The declaration of a column, whatever suffix its name has."""
    return COLUMNS[name.partition("@")[0]]


def is_local(name: str) -> bool:
    """True for a column that never leaves the worker that made it."""
    return column(name).arrow is None


def to_table(rows: Sequence[Row], names: Iterable[str]) -> pa.Table:
    """Rows as an Arrow table with the given (travelling) columns; a missing value is null."""
    arrays, fields = [], []
    for name in names:
        declared = column(name)
        encode = declared.encode
        values = [row.get(name) for row in rows]
        if encode is not None:
            values = [None if value is None else encode(value) for value in values]
        arrays.append(pa.array(values, declared.arrow))
        fields.append(pa.field(name, declared.arrow))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def from_table(table: pa.Table) -> list[Row]:
    """The inverse of `to_table`; a null is left out of its row, as if never provided."""
    decoders = {name: column(name).decode for name in table.column_names}
    rows: list[Row] = []
    for record in table.to_pylist():
        row: Row = {}
        for name, value in record.items():
            if value is not None:
                decode = decoders[name]
                row[name] = value if decode is None else decode(value)
        rows.append(row)
    return rows
