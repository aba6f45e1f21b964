"""Columns of a source go along to the output, with the types that they have."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from ipseg.errors import SourceError
from pipeline.segment import segment
from pipeline.sources.parquet import Columns
from pipeline.sources.shard import Shard


@pytest.fixture
def carried(request, painted):
    """Function: columns beside two images in Parquet files, names to carry -> table of the run."""

    def carried(*files, names, engine="local"):
        images = sorted((painted.root / "images").glob("*.png"))[:2]
        for number, columns in enumerate(files):
            cells = [path.read_bytes() for path in images]
            table = pa.table({"key": [f"{number}a", f"{number}b"], "image": cells, **columns})
            pq.write_table(table, painted.root / "images" / f"{number}.parquet")
        for path in (painted.root / "images").rglob("*.png"):
            path.unlink()
        if engine == "ray":
            request.getfixturevalue("ray_session")
        run = segment(painted.request("run", columns=Columns(carry=names), engine=engine))
        return pa.dataset.dataset(f"{run.out}/data").to_table().sort_by("key")

    return carried


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_values_arrive_as_they_were(carried, engine):
    when = datetime(2026, 11, 27, 1, 2, 3)
    columns = {
        "label": pa.array(["x", None]).dictionary_encode(),
        "number": pa.array([7, 2**53 + 1]),
        "share": pa.array([0.1, None]),
        "good": [True, False],
        "when": pa.array([when, None], pa.timestamp("ms")),
    }
    found = carried(columns, names=tuple(columns), engine=engine)
    for name, expected in columns.items():
        assert found[name].to_pylist() == pa.array(expected).to_pylist(), name
    assert found.schema.field("number").type == pa.int64()


def test_times_that_arrow_cannot_read_back_are_text(carried):
    when = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC)
    columns = {
        "zoned": pa.array([when, None], pa.timestamp("ms", "UTC")),
        "clock": pa.array([when.time(), None], pa.time64("us")),
        "lasts": pa.array([timedelta(seconds=90), None], pa.duration("s")),
        "day": pa.array([when.date(), None]),
    }
    found = carried(columns, names=tuple(columns))
    assert found["zoned"].to_pylist() == ["2026-11-27 01:02:03+00:00", None]
    assert found["clock"].to_pylist() == ["01:02:03", None]
    assert found["lasts"].to_pylist() == ["0:01:30", None]
    assert found["day"].to_pylist() == [when.date(), None]


def test_files_that_differ_or_lack_a_column(carried):
    found = carried({"n": [1, 2], "split": ["a", "b"]}, {"n": ["x", None]}, names=("n", "split"))
    assert found["n"].to_pylist() == ["1", "2", "x", None]
    assert found["split"].to_pylist() == ["a", "b", None, None]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("absent",),
            "has no column 'absent' to carry; it has key, image, nested, key_hash, shard",
        ),
        (("nested",), "cannot be carried: 'nested'"),
        (("image",), "cannot be carried: 'image'"),
        (("key_hash",), "the output has a column 'key_hash' of its own"),
        (("shard",), "the output has a column 'shard' of its own"),
    ],
)
def test_what_cannot_be_carried_is_refused_before_the_run(carried, names, message):
    with pytest.raises(SourceError, match=message):
        carried({"nested": [[1], [2]], "key_hash": [1, 2], "shard": [1, 2]}, names=names)


def test_lists_carry_and_loose_images_do_not(painted):
    with pytest.raises(SourceError, match="--carry takes columns of Parquet files and lists"):
        segment(painted.request("run", columns=Columns(carry=("label",))))
    listing = painted.root / "images" / "list.csv"
    listing.write_text("path,label,n\na.png,x,1\nb.png,,2\n")
    request = painted.request("run", columns=Columns(carry=("label", "n")))
    run = segment(request.__class__(**{**vars(request), "images": str(listing)}))
    table = pa.dataset.dataset(f"{run.out}/data").to_table().sort_by("key")
    assert table.select(["key", "label", "n"]).to_pylist() == [
        {"key": "a.png", "label": "x", "n": "1"},
        {"key": "b.png", "label": "", "n": "2"},
    ]


@pytest.mark.parametrize(
    ("paths", "keys"),
    [
        (["d/1.jpg", "d/2.jpg"], ["x.parquet/d/1.jpg", "x.parquet/d/2.jpg"]),
        (["1.jpg", "1.jpg"], ["x.parquet#0", "x.parquet#1"]),
        (["1.jpg", None], ["x.parquet#0", "x.parquet#1"]),
    ],
)
def test_paths_of_images_are_keys_where_they_tell_them_apart(tmp_path, paths, keys):
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": [{"bytes": b"1", "path": path} for path in paths]}), file)
    assert [row["key"] for row in Shard("x", "parquet", str(file), Path(file).name).read()] == keys
