import os

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import OutputError
from ipseg.rows import failed
from pipeline.runfolder.parts import part_files, read_row, read_rows
from pipeline.runfolder.sink import Provenance, ShardWriter, check_writable, output_schema

BY = Provenance("run-1", "ipseg/classical", "0" * 64, ("cup:1234",))


def row(key, shard="a", objects=()):
    return {"key": key, "shard": shard, "uri": key, "width": 4, "height": 3, "objects": [*objects]}


def item(**more):
    return {
        **{"concept": "cup", "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0},
        **{"segmentation": {"size": [3, 4], "counts": "02"}, "score": 0.5, "status": "auto"},
        **{"points": [{"x": 1.5, "y": 0.5, "label": 1}]},
        **more,
    }


@given(st.lists(st.text(), unique=True, min_size=1), st.randoms())
def test_a_part_is_named_after_its_keys_whatever_their_order(keys, random):
    import tempfile

    shuffled = random.sample(keys, len(keys))
    with tempfile.TemporaryDirectory() as out:
        ShardWriter(out, BY).write([row(key) for key in keys])
        first = part_files(out)
        ShardWriter(out, BY).write([row(key) for key in shuffled])
        assert part_files(out) == first
        assert sorted(r["key"] for r in read_rows(out)) == sorted(keys)


def test_status_errors_and_provenance_are_in_every_row(tmp_path):
    out = str(tmp_path)
    rows = [
        row("full", objects=[item()]),
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
    assert found["bad"]["objects"] == []
    assert found["none"]["error_stage"] is None
    assert all(r["model"] == "ipseg/classical" and r["run_id"] == "run-1" for r in found.values())
    assert found["full"]["objects"][0]["points"] == [{"x": 1.5, "y": 0.5, "label": 1}]
    assert [p.rpartition("/")[0].rpartition("/")[2] for p in part_files(out)] == [
        "shard=a",
        "shard=b",
    ]


def test_parts_have_the_published_schema(tmp_path):
    ShardWriter(str(tmp_path), BY).write([row("a")])
    schema = pq.read_schema(part_files(str(tmp_path))[0])
    assert schema.equals(output_schema())
    assert schema.metadata[b"schema_version"] == b"2"


def test_a_key_that_stands_in_two_parts_is_read_once(tmp_path):
    out = str(tmp_path)
    ShardWriter(out, BY).write([row("a"), row("b")])
    ShardWriter(out, BY).write([row("b"), row("c")])
    assert [r["key"] for r in read_rows(out, ["key"])].count("b") == 1


def test_one_row_is_found_by_its_key(tmp_path):
    out = str(tmp_path)
    ShardWriter(out, BY).write([row("a"), row("b", "other")])
    assert read_row(out, "b")["key"] == "b"
    with pytest.raises(OutputError, match="no row with key 'c'"):
        read_row(out, "c")


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        check_writable(f"{tmp_path}/file/below")
    check_writable(f"{tmp_path}/new/folder")
    assert os.listdir(tmp_path / "new" / "folder") == []  # noqa: PTH208


def test_a_folder_without_parts_is_no_run(tmp_path):
    with pytest.raises(OutputError, match="no finished parts"):
        part_files(str(tmp_path))


def test_nothing_but_strings_is_made_of_strange_keys(tmp_path):
    keys = ["../../etc/passwd", "a/b", "", "key\nwith lines", "<script>"]
    assert (
        ShardWriter(str(tmp_path), BY).table([row(key) for key in keys])["key"].to_pylist() == keys
    )
    ShardWriter(str(tmp_path), BY).write([row(key) for key in keys])
    assert [p.rpartition("/shard=")[2].partition("/")[0] for p in part_files(str(tmp_path))] == [
        "a"
    ]
