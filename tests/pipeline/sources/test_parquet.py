"""Every row of a Parquet file is a row or a failed row, whatever the columns are."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.errors import SourceError
from ipseg.storage.addresses import fetch
from pipeline.sources.parquet import Columns
from pipeline.sources.shard import Shard
from pipeline.sources.source import list_source


@pytest.fixture
def read(tmp_path):
    """Rows of a table in row groups of two, as its own file."""

    def read(table, **columns):
        pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
        return rows_of(tmp_path / "x.parquet", **columns)

    return read


def rows_of(file, **columns):
    shard = Shard("x", "parquet", str(file), "x.parquet", columns=Columns(**columns))
    return list(shard.read())


def outcome(rows):
    return {r["key"]: r.get("error_message") or r.get("image_bytes") or r["uri"] for r in rows}


class Tagged(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.binary(), "test.tagged")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


IMAGES = pa.array([b"one", b"two", None])


@pytest.mark.parametrize(
    "cells",
    [
        IMAGES,
        IMAGES.cast(pa.large_binary()),
        IMAGES.cast(pa.binary_view()),
        IMAGES.cast(pa.binary(3)),
        IMAGES.dictionary_encode(),
        pa.ExtensionArray.from_storage(Tagged(), IMAGES),
        pa.array([{"bytes": b"one", "path": "p"}, {"bytes": b"two", "path": None}, None]),
        pa.array([{"bytes": b"one", "path": "p"}, {"bytes": b"two", "path": "q"}, {}]),
        pa.StructArray.from_arrays(
            [IMAGES.dictionary_encode(), pa.array(["p", "q", None])], ["bytes", "path"]
        ),
    ],
    ids=lambda cells: str(cells.type)[:40],
)
def test_images_of_any_arrow_type(read, cells):
    keys = pa.array(["a", "b", "c"]).dictionary_encode()
    rows = read(pa.table({"key": keys, "image": cells}))
    found = outcome(rows)
    assert found.pop("c").startswith("row 2 has neither bytes nor a path in column 'image'")
    assert found == {"a": b"one", "b": b"two"}
    assert [fetch(row["uri"]) for row in rows[:2]] == [b"one", b"two"]


PATHS = pa.array(["a.jpg", "/b.jpg", "s3://c/d.jpg"])


@pytest.mark.parametrize(
    "cells",
    [
        *(PATHS, PATHS.cast(pa.large_string()), PATHS.cast(pa.string_view())),
        *(PATHS.dictionary_encode(), pa.StructArray.from_arrays([PATHS], ["path"])),
    ],
    ids=lambda cells: str(cells.type)[:40],
)
def test_paths_of_any_arrow_type(read, tmp_path, cells):
    name = "image" if pa.types.is_struct(cells.type) else "path"
    rows = read(pa.table({name: cells}))
    assert [row["uri"] for row in rows] == [f"{tmp_path}/a.jpg", "/b.jpg", "s3://c/d.jpg"]


@pytest.mark.parametrize(
    "cells",
    [
        *([2**40, 7], [1.5, 2.0], [True, False]),
        *([[b"one"], [b"two"]], [[{"bytes": b"one"}], []], [{"x": 1}, {"x": 2}]),
    ],
)
def test_cells_that_are_no_images_fail_one_by_one(read, cells):
    rows = read(pa.table({"key": ["a", "b"], "photo": cells}), image="photo")
    assert [row["key"] for row in rows] == ["a", "b"]
    assert all("is neither an image nor its path" in row["error_message"] for row in rows)


def test_text_that_is_not_utf8_fails_alone(read):
    broken = pa.array([b"\xff.jpg", b"b.jpg"]).view(pa.string())
    rows = read(pa.table({"key": ["a", "b"], "path": broken}))
    assert "not valid UTF-8" in rows[0]["error_message"]
    assert rows[1]["uri"].endswith("/b.jpg")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([1, 2, None], ["1", "2", "x.parquet#2"]),
        (["a", "", None], ["a", "x.parquet#1", "x.parquet#2"]),
        ([b"a", b"\xff", b"c"], ["a", "x.parquet#1", "c"]),
        ([[1], [2], [3]], ["x.parquet#0", "x.parquet#1", "x.parquet#2"]),
        (pa.nulls(3), ["x.parquet#0", "x.parquet#1", "x.parquet#2"]),
    ],
)
def test_keys_of_any_type(read, keys, expected):
    rows = read(pa.table({"id": keys, "image": [b"1", b"2", b"3"]}))
    assert [row["key"] for row in rows] == expected
    nested = keys == [[1], [2], [3]]
    assert sum("error_type" in row for row in rows) == (3 if nested else b"\xff" in list(keys))


def test_a_field_of_a_struct_can_be_the_key_and_the_image(read):
    cells = [{"data": {"jpg": b"1"}, "name": "a"}, {"data": {"jpg": b"2"}, "name": "b"}]
    rows = read(pa.table({"photo": cells}), key="photo.name", image="photo.data.jpg")
    assert outcome(rows) == {"a": b"1", "b": b"2"}
    assert fetch(rows[1]["uri"]) == b"2"


def test_a_damaged_row_group_is_one_failed_row_and_the_others_come_out(tmp_path):
    file = tmp_path / "x.parquet"
    images = [bytes([n]) * 1000 for n in range(6)]
    pq.write_table(
        pa.table({"key": list("abcdef"), "image": images}),
        file,
        **{"row_group_size": 2, "compression": "gzip", "use_dictionary": False},
    )
    column = pq.ParquetFile(file).metadata.row_group(1).column(1)
    data = bytearray(file.read_bytes())
    start = column.data_page_offset
    data[start + 20 : start + column.total_compressed_size] = b"\xff" * (
        column.total_compressed_size - 20
    )
    file.write_bytes(data)
    rows = rows_of(file)
    assert [row["key"] for row in rows] == ["a", "b", "x.parquet#2-3", "e", "f"]
    assert "rows 2 to 3" in rows[2]["error_message"]


@pytest.fixture
def listed(tmp_path):
    def listed(columns=Columns()):  # noqa: B008
        with list_source(str(tmp_path / "in"), str(tmp_path / "out"), columns) as found:
            source = found.write(str(tmp_path / "out"))
            return list(source.read()), source

    (tmp_path / "in").mkdir()
    return listed


def write(file, **columns):
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), file)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("kind", [pa.null(), pa.int64(), pa.list_(pa.string())])
def test_the_type_of_one_file_says_nothing_of_the_others(tmp_path, listed, rows, kind):
    empty = {"key": pa.array(["x", "y"][:rows], pa.string()), "image": pa.nulls(rows, kind)}
    for name in ("0", "2"):
        write(tmp_path / f"in/{name}.parquet", **empty)
    write(tmp_path / "in/1.parquet", key=["a", "b"], image=[b"1", b"2"])
    found, source = listed()
    assert source.rows == 2 + 2 * rows
    assert sum("error_type" not in row for row in found) == 2
    assert len(found) == 2 + 2 * rows


def test_files_without_the_column_give_a_failed_row_for_each_row(tmp_path, listed):
    write(tmp_path / "in/0.parquet", key=["a", "b"], text=["1", "2"])
    write(tmp_path / "in/1.parquet", key=["c"], image=[b"1"])
    write(tmp_path / "in/2.parquet", text=["3"])
    found, _ = listed()
    assert [row["key"] for row in found] == ["a", "b", "c", "2.parquet#0"]
    assert "0.parquet has no column that looks like images" in found[0]["error_message"]
    for name in ("0", "2"):
        (tmp_path / f"in/{name}.parquet").replace(tmp_path / f"{name}.parquet")
    (tmp_path / "in/1.parquet").unlink()
    (tmp_path / "0.parquet").replace(tmp_path / "in/0.parquet")
    with pytest.raises(SourceError, match="--image-column"):
        listed()


def test_two_columns_of_a_name_are_refused(tmp_path, listed):
    table = pa.Table.from_arrays(
        [pa.array(["a"]), pa.array([b"1"]), pa.array([b"2"])], names=["key", "image", "image"]
    )
    pq.write_table(table, tmp_path / "in/a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet: it has 2 columns named 'image'; rename"):
        listed()
    assert [row["key"] for row in listed(Columns(key="key", image="key"))[0]] == ["a"]


def test_names_that_begin_with_an_underscore_are_no_data(tmp_path, listed, caplog):
    write(tmp_path / "in/part-0.parquet", key=["a"], image=[b"1"])
    write(tmp_path / "in/_delta_log/10.checkpoint.parquet", add=[1])
    write(tmp_path / "in/_metadata.parquet", x=[1])
    found, source = listed()
    assert [row["key"] for row in found] == ["a"]
    assert source.ignored == {"file in a table that begins with '_'": 2}
    assert "is a Delta table; all of its Parquet files are read" in caplog.text
