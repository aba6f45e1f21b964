"""Finished rows as they are written: status, errors, provenance, and what could not be done."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.columns import CHAIN_ERROR, METRIC
from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.rows import failed
from pipeline.prompts import STORED
from pipeline.runfolder.parts import part_files, read_rows
from pipeline.runfolder.sink import Provenance, ShardWriter, check_writable, output_schema

BY = Provenance("run-1", "ipseg/classical", "0" * 64, ("cup:1234",))
CUP = Object.of("cup", 1, np.ones((3, 4), bool), 0.5, points=np.array([[1.5, 0.5, 1]], np.float32))


def row(key, shard="a", objects=(), **more):
    whole = {"key": key, "shard": shard, "uri": key, "width": 4, "height": 3}
    return whole | {"objects": [*objects], **more}


def like(kind, **values):
    """A record of an Arrow type, null but for some values."""
    return {field.name: values.get(field.name) for field in kind}


def test_status_errors_and_provenance_are_in_every_row(tmp_path):
    out = str(tmp_path)
    rows = [
        row("full", objects=[CUP]),
        row("none"),
        failed({"key": "bad", "shard": "b", "uri": "x"}, "decode", ValueError("cut off")),
    ]
    written = {part.shard: part.counts for part in ShardWriter(out, BY).write(rows)}
    assert written == {"a": {"ok": 1, "empty": 1}, "b": {"failed": 1}}
    found = {r["key"]: r for r in read_rows(out)}
    assert {key: r["row_status"] for key, r in found.items()} == {
        "full": "ok",
        "none": "empty",
        "bad": "failed",
    }
    assert found["bad"]["error_message"] == "cut off"
    assert found["bad"]["objects"] == found["bad"]["metrics"] == []
    assert found["none"]["error_stage"] is None
    for each in found.values():
        assert (each["model"], each["run_id"]) == ("ipseg/classical", "run-1")
        assert each["prompt_ids"] == ["cup:1234"]
    (stored,) = found["full"]["objects"]
    assert stored["points"] == [{"x": 1.5, "y": 0.5, "label": 1}]
    assert Object.from_record(stored) == CUP
    assert [p.rpartition("/")[0].rpartition("/")[2] for p in part_files(out)] == [
        "shard=a",
        "shard=b",
    ]


def test_a_row_says_how_much_of_it_could_not_be_done():
    metrics = [like(METRIC, status=status) for status in ("ok", "failed", "failed")]
    errors = [like(CHAIN_ERROR, chain=chain) for chain in ("x", "y", "z")]
    table = ShardWriter("", BY).table(
        [
            row("whole", objects=[CUP], metrics=metrics[:1], chain_errors=[]),
            row("unjudged", objects=[CUP], metrics=metrics),
            row("half", metrics=metrics, chain_errors=errors),
        ]
    )
    assert table["incomplete"].to_pylist() == [0, 2, 3]
    assert table["row_status"].to_pylist() == ["ok", "ok", "empty"]


@pytest.mark.parametrize("columns", [None, STORED])
def test_parts_have_the_published_schema(tmp_path, columns):
    if columns is None:
        writer, schema = ShardWriter(str(tmp_path), BY), output_schema()
    else:
        writer, schema = ShardWriter(str(tmp_path), BY, columns, 1), output_schema(columns)
    writer.write([failed(row(key), "read", OSError("gone")) for key in ("a", "b")])
    found = pq.read_schema(part_files(str(tmp_path))[0])
    assert found.equals(schema)
    assert found.metadata[b"schema_version"] == b"4"
    assert {"key_hash", "row_status", "incomplete"} <= set(found.names)
    assert found.field("key_hash").type == pa.binary()


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        check_writable(f"{tmp_path}/file/below")
    check_writable(f"{tmp_path}/new/folder")
    assert os.listdir(tmp_path / "new" / "folder") == []  # noqa: PTH208


def test_nothing_but_strings_is_made_of_strange_keys(tmp_path):
    keys = ["../../etc/passwd", "a/b", "", "key\nwith lines", "<script>"]
    assert (
        ShardWriter(str(tmp_path), BY).table([row(key) for key in keys])["key"].to_pylist() == keys
    )
    ShardWriter(str(tmp_path), BY).write([row(key) for key in keys])
    assert [
        p.rpartition("/data/shard=")[2].partition("/")[0] for p in part_files(str(tmp_path))
    ] == ["a"]


# Plain types, and lists and structs of them; what Hugging Face datasets 4 and 5, pandas, polars and
# DuckDB all read. Not among them: binary of a fixed size, which datasets 4 refuses.
PLAIN = {pa.string(), pa.binary(), pa.large_binary(), pa.bool_(), pa.int8(), pa.int32(), pa.int64()}
PLAIN |= {pa.float32(), pa.float64()}


def leaves(type_):
    if pa.types.is_struct(type_):
        return [leaf for field in type_ for leaf in leaves(field.type)]
    if pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_):
        return leaves(type_.value_type)
    return [type_]


@pytest.mark.parametrize("columns", [(), (STORED,)])
def test_every_column_has_a_type_that_all_readers_know(columns):
    for field in output_schema(*columns):
        assert set(leaves(field.type)) <= PLAIN, field


def test_an_area_is_exact_for_any_mask(tmp_path):
    mask = np.ones((4097, 4099), bool)
    mask[0, 0] = False
    found = Object.of("cup", 1, mask, 0.5)
    table = ShardWriter(str(tmp_path), BY).table([{**row("a"), "objects": [found]}])
    assert mask.sum() > 2**24
    assert table["objects"].to_pylist()[0][0]["area"] == mask.sum()
