import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import listing
from pipeline.sources.listing import Spool

KEYS = st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1)


def shards_of(keys, out, count=None):
    with Spool(("key", "uri")) as spool:
        spool.add({"key": key, "uri": f"at {key}"} for key in keys)
        return spool.write(out, count)


@settings(max_examples=40)
@given(KEYS, st.sampled_from([1, 2, 8]), st.data())
def test_every_row_is_in_one_shard_and_stays_there_when_others_are_added(keys, count, data):
    fewer = data.draw(st.sets(st.sampled_from(sorted(keys)), min_size=1))
    with tempfile.TemporaryDirectory() as out:
        whole = {row["key"]: s.id for s in shards_of(keys, out, count) for row in s.read()}
        part = {row["key"]: s.id for s in shards_of(fewer, out, count) for row in s.read()}
    assert set(whole) == keys
    assert set(part) == fewer
    assert all(whole[key] == shard for key, shard in part.items())


@settings(max_examples=10)
@given(KEYS, st.integers(1, 4))
def test_chunks_leave_no_trace(keys, size):
    with tempfile.TemporaryDirectory() as out:
        expected = shards_of(keys, out, 2)
        rows = [row for s in expected for row in s.read()]
        chunk, listing._CHUNK = listing._CHUNK, size
        try:
            again = shards_of(sorted(keys, reverse=True), out, 2)
            assert [row for s in again for row in s.read()] == rows
        finally:
            listing._CHUNK = chunk
    assert again == expected, "the same fingerprints, too"


def test_a_shard_says_how_many_rows_it_has_and_changes_its_fingerprint_with_them(tmp_path):
    (one,) = shards_of(["a", "b"], str(tmp_path))
    (more,) = shards_of(["a", "b", "c"], str(tmp_path))
    assert (one.rows, more.rows) == (2, 3)
    assert one.id == more.id
    assert one.fingerprint != more.fingerprint
    assert [row["uri"] for row in more.read()] == ["at a", "at b", "at c"]


def test_many_rows_make_many_shards(tmp_path):
    shards = shards_of((f"{n:06d}" for n in range(9000)), str(tmp_path))
    assert {shard.id.rpartition("-of-")[2] for shard in shards} == {"00004"}
    assert sum(shard.rows for shard in shards) == 9000
