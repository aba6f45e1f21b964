"""Reading parts: rows and where they are stored, damage by name, other versions in one line."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import OutputError
from ipseg.objects import Object
from pipeline.runfolder.parts import (
    DamagedPartError,
    Place,
    find_place,
    part_files,
    read_batches,
    read_place,
    read_placed,
    read_rows,
)
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.runfolder.survey import survey_run

BY = Provenance("run-1", "ipseg/classical", "0" * 64, ())
FOUND = Object.of("cup", 1, np.random.default_rng(0).random((24, 32)) > 0.5, 0.5)


def row(key, shard="a"):
    return {"key": key, "shard": shard, "uri": key, "width": 32, "height": 24, "objects": [FOUND]}


def written(out, *groups, shard="a", group_rows=None):
    """Writes each group of keys as one part."""
    for keys in groups:
        ShardWriter(str(out), BY, group_rows=group_rows).write([row(key, shard) for key in keys])
    return part_files(str(out))


@given(st.lists(st.text(), unique=True, min_size=1), st.randoms())
def test_a_part_is_named_after_its_keys_whatever_their_order(keys, chance):
    shuffled = chance.sample(keys, len(keys))
    with tempfile.TemporaryDirectory() as out:
        first = written(out, keys)
        assert written(out, shuffled) == first
        assert sorted(r["key"] for r in read_rows(out)) == sorted(keys)


@pytest.mark.parametrize("group_rows", [None, 1, 2])
def test_each_row_is_found_again_at_its_place(tmp_path, group_rows):
    written(tmp_path, "abc", "de", group_rows=group_rows)
    written(tmp_path, "fg", shard="b", group_rows=group_rows)
    placed = list(read_placed(str(tmp_path), ["objects"]))
    assert sorted(place.key for place, _ in placed) == list("abcdefg")
    for place, record in placed:
        assert set(record) == {"key", "key_hash", "gone", "objects"}
        whole = read_place(place)
        assert (whole["key"], whole["objects"]) == (place.key, record["objects"])
        assert read_place(place, ["uri"]) == {"uri": place.key}
        assert read_place(find_place(str(tmp_path), place.key)) == whole


def test_a_key_that_stands_in_two_parts_is_read_once(tmp_path):
    written(tmp_path, "ab", "bc")
    places = [place for place, _ in read_placed(str(tmp_path), ["uri"])]
    assert sorted(place.key for place in places) == list("abc")
    assert all(read_place(place)["key"] == place.key for place in places)


def test_what_is_heavy_can_be_left_out(tmp_path):
    written(tmp_path, "a")
    heavy = ("objects.list.element.segmentation",)
    ((_, record),) = read_placed(str(tmp_path), ["objects"], without=heavy)
    assert record["objects"][0]["concept"] == "cup"
    assert "segmentation" not in record["objects"][0]
    (batch,) = read_batches(part_files(str(tmp_path))[0], without=heavy)
    assert "row_status" in batch.schema.names


def test_rows_that_are_not_there_are_named(tmp_path):
    (part,) = written(tmp_path, "ab")
    with pytest.raises(OutputError, match="no row with key 'c'"):
        find_place(str(tmp_path), "c")
    with pytest.raises(IndexError, match="has no row 2"):
        read_place(Place("c", part, 2))
    with pytest.raises(DamagedPartError, match=f"{part}: .*no column 'score'"):
        read_place(Place("a", part, 0), ["score"])


def test_a_folder_without_parts_is_no_run(tmp_path):
    with pytest.raises(OutputError, match="no finished parts"):
        part_files(str(tmp_path))


def damaged(data, chance):
    """A part after one of the things that happen to files."""
    at, length = chance.randrange(len(data)), chance.choice([1, 64, 512])
    return chance.choice(
        [
            data[:at],
            data[:at] + bytes(len(data[at : at + length])) + data[at + length :],
            data[:at] + chance.randbytes(len(data[at : at + length])) + data[at + length :],
        ]
    )


def test_whatever_is_damaged_is_named_in_one_line_or_read_as_it_was(tmp_path):
    first, part = sorted(written(tmp_path, "ab", [f"{n}" for n in range(40)]))
    good, chance, said = Path(part).read_bytes(), random.Random(0), []  # noqa: S311
    for _ in range(60):
        Path(part).write_bytes(damaged(good, chance))
        try:
            keys = [place.key for place, _ in read_placed(str(tmp_path), ["key", "objects"])]
        except DamagedPartError as error:
            said.append(str(error))
        else:
            assert len(keys) == len(set(keys)) == 42
    assert len(said) > 30, "most of what is in a part is looked at"
    assert all(line.startswith(f"{part}: cannot be read (") for line in said)
    assert not any("\n" in line for line in said)
    assert [read_place(Place("a", first, 0))["key"]] == ["a"], "the others can still be read"


def test_a_part_that_is_gone_is_missing_and_not_damaged(tmp_path):
    (part,) = written(tmp_path, "a")
    Path(part).unlink()
    with pytest.raises(FileNotFoundError):
        read_place(Place("a", part, 0))


def test_parts_of_another_version_are_refused_in_one_line(tmp_path):
    (part,) = written(tmp_path, "a")
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.replace_schema_metadata({"schema_version": "2"}), part)
    for read in (lambda out: list(read_rows(out)), lambda out: find_place(out, "a"), survey_run):
        with pytest.raises(OutputError) as refusal:
            read(str(tmp_path))
        assert str(refusal.value) == (
            f"{tmp_path} was written in version 2 of the run format, this ipseg has version 4: "
            f"look at it with the one that wrote it; to write there, --overwrite it"
        )
