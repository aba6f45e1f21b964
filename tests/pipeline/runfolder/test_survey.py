"""Looking at run folders: how far a run is, how fast, and keys that repeat."""

import os
import time
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import OutputError
from pipeline.runfolder.survey import survey_run
from pipeline.sources.shard import key_hash


def test_an_interrupted_run_is_counted_by_shard_and_status(folder):
    folder.start().source("a", 3).source("b", 4).source("c", 5)
    folder.rows("a", ["a1", "a2"])
    folder.rows("a", ["a3"], error=ValueError("cut off"))
    folder.complete("a", 3)
    folder.rows("b", ["b1"], status="empty")
    found = survey_run(folder.out)
    assert found.counts == {"ok": 2, "empty": 1, "failed": 1}
    assert (found.done, found.expected, found.exact, found.left) == (4, 12, True, 8)
    assert [(s.shard, s.done, s.expected, s.complete) for s in found.shards] == [
        ("a", 3, 3, True),
        ("b", 1, 4, False),
        ("c", 0, 5, False),
    ]
    assert found.complete_shards == 1
    assert found.repeated == 0
    assert found.problems == ()
    quick = survey_run(folder.out, check_keys=False)
    assert quick.counts == found.counts
    assert quick.repeated is None
    assert quick.rows_of_run == found.rows_of_run == 4


def test_quick_looks_do_not_read_the_parts_of_complete_shards(folder):
    folder.start().source("a", 2)
    part = folder.rows("a", ["a1", "a2"])
    folder.complete("a", 2)
    folder.put(part, b"not parquet")
    quick = survey_run(folder.out, check_keys=False)
    assert (quick.done, quick.problems) == (2, ())
    found = survey_run(folder.out)
    assert found.done == 0
    assert found.complete_shards == 0
    assert len(found.problems) == 2
    assert part in found.problems[0]
    assert "says 2 rows, the shard's parts hold 0" in found.problems[1]


def test_keys_that_stand_there_twice_are_counted_within_and_across_shards(folder):
    folder.start().source("a", 3).source("b", 2)
    folder.rows("a", ["k1", "k2"])
    folder.rows("a", ["k2", "k3"])
    folder.rows("b", ["k3", "k4"])
    found = survey_run(folder.out)
    assert [shard.repeated for shard in found.shards] == [1, 0]
    assert found.repeated_across == 1
    assert found.repeated == 2
    assert found.shards[0].done == 3, "a repeated key is one row"


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=2), min_size=1), min_size=1))
def test_counts_agree_with_a_plain_count_of_keys(folder_at, batches):
    folder = folder_at(f"memory://{uuid4().hex}")
    folder.start()
    for number, keys in enumerate(batches):
        folder.rows(f"s{number % 2}", keys)
    found = survey_run(folder.out)
    # A part is named after its keys: the same batch again is the same file.
    parts = {(number % 2, tuple(sorted(keys))) for number, keys in enumerate(batches)}
    for shard in found.shards:
        keys = Counter(key for s, part in parts for key in part if f"s{s}" == shard.shard)
        assert shard.done == len(keys)
        assert shard.repeated == keys.total() - len(keys)
    both = [{k for s, part in parts if s == each for k in part} for each in (0, 1)]
    assert found.repeated_across == len(both[0] & both[1])


def test_speed_is_of_the_newest_start_only_and_gives_the_time_left(folder):
    folder.start("run-1", ago=10_000).source("a", 10)
    folder.age(folder.rows("a", ["a1", "a2", "a3", "a4"], run_id="run-1"), 9_000)
    folder.start("run-2", ago=100)
    folder.age(folder.rows("a", ["a5", "a6"], run_id="run-2"), 60)
    for checked in (True, False):
        found = survey_run(folder.out, check_keys=checked)
        assert (found.run_id, found.starts, found.rows_of_run) == ("run-2", 2, 2)
        assert found.rows_per_second == pytest.approx(2 / 40, rel=0.01)
        assert found.eta_seconds == pytest.approx(4 * 20, rel=0.01)


def test_speed_of_a_finished_run_reaches_to_its_end(folder):
    folder.start("run-1", ago=100, finished_ago=50).source("a", 2)
    folder.rows("a", ["a1", "a2"])
    folder.complete("a", 2)
    found = survey_run(folder.out)
    assert found.state == "finished"
    assert found.rows_per_second == pytest.approx(2 / 50, rel=0.01)
    assert found.eta_seconds == 0


def test_complete_shards_of_an_earlier_start_do_not_count_as_speed(folder):
    folder.start("run-1", ago=500).source("a", 2)
    folder.rows("a", ["a1", "a2"])
    folder.complete("a", 2)
    folder.start("run-2", ago=10)
    for checked in (True, False):
        found = survey_run(folder.out, check_keys=checked)
        assert found.rows_of_run == 0
        assert found.rows_per_second is None
        assert found.done == 2


def test_shards_that_nobody_has_counted_are_taken_to_be_like_the_others(folder):
    folder.start().source("a", None).source("b", None).source("c", None)
    assert survey_run(folder.out).left is None
    folder.rows("a", ["a1", "a2"])
    folder.complete("a", 2)
    found = survey_run(folder.out)
    assert (found.expected, found.exact, found.left) == (6, False, 4)


def test_a_source_that_has_grown_makes_its_shard_incomplete_again(folder):
    folder.start().source("a", 2)
    folder.rows("a", ["a1", "a2"])
    folder.complete("a", 2).source("a", 3, fingerprint="f2")
    for checked in (True, False):
        found = survey_run(folder.out, check_keys=checked)
        assert (found.done, found.left, found.complete_shards) == (2, 1, 0)


def test_a_part_that_somebody_removed_makes_its_shard_incomplete_again(folder):
    folder.start().source("a", 3)
    folder.rows("a", ["a1", "a2"])
    gone = folder.rows("a", ["a3"])
    folder.complete("a", 3)
    os.remove(f"{folder.out}/{gone}")  # noqa: PTH107
    for checked in (True, False):
        found = survey_run(folder.out, check_keys=checked)
        assert (found.done, found.left, found.complete_shards) == (2, 1, 0)


@pytest.mark.parametrize(
    ("lease_age", "part_age", "start_age", "state"),
    [
        (5, 3000, 4000, "running"),
        (400, 10, 4000, "stopped"),
        (None, 10, 4000, "unknown"),
        ("given back", 10, 4000, "stopped"),
        ("given back", 3000, 4000, "stopped"),
        (None, 3000, 4000, "stopped"),
        (None, None, 10, "unknown"),
    ],
)
def test_whether_it_runs_is_seen_from_lease_and_last_part(
    folder, lease_age, part_age, start_age, state
):
    folder.start(ago=start_age).source("a", 2)
    if lease_age == "given back":
        folder.lease(time.time(), released=True)
    elif lease_age is not None:
        folder.lease(time.time() - lease_age)
    if part_age is not None:
        folder.age(folder.rows("a", ["a1"]), part_age)
    found = survey_run(folder.out)
    assert found.state == state
    assert (found.eta_seconds is None) == (state == "stopped" or part_age is None)


def test_other_files_in_the_folder_are_no_parts(folder):
    folder.start().source("a", 1)
    part = folder.rows("a", ["a1"])
    data = folder.fs.cat_file(f"{folder.root}/{part}")
    folder.put(f"{part}.damaged", data)
    folder.put("data/shard=a/.part-1.parquet.tmp", data)
    folder.put("listing/data/shard=a.parquet", data)
    folder.put(f"bank/{part}", data)
    folder.put("bank/finished/b.json", b"{}")
    folder.put("bank/entries.parquet", data)
    found = survey_run(folder.out)
    assert (found.done, found.repeated, found.problems) == (1, 0, ())


def test_it_works_on_any_filesystem(folder_at):
    folder = folder_at(f"memory://{uuid4().hex}/run")
    folder.start().source("a", 2).rows("a", ["a1", "a2"])
    folder.complete("a", 2)
    found = survey_run(f"{folder.out}/")
    assert (found.done, found.left, found.repeated, found.problems) == (2, 0, 0, ())
    assert found.last_written is not None
    assert abs((datetime.now(UTC) - found.last_written).total_seconds()) < 60


def test_a_place_without_a_run_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OutputError, match="no run at"):
            survey_run(str(place))


def test_a_run_that_has_only_begun_has_nothing_done(folder):
    folder.start(ago=1)
    found = survey_run(folder.out)
    assert (found.done, found.expected, found.left, found.repeated) == (0, None, None, 0)
    assert found.last_written is None


def test_keys_are_compared_by_all_sixteen_bytes(folder):
    folder.start()
    folder.rows("a", ["a1"])
    part = folder.rows("a", ["a2"])
    table = pq.read_table(f"{folder.out}/{part}", partitioning=None)
    near = key_hash("a1")[:15] + b"\0"
    at = table.schema.get_field_index("key_hash")
    changed = table.set_column(at, "key_hash", pa.array([near], pa.binary()))
    pq.write_table(changed, f"{folder.out}/{part}")
    assert [shard.repeated for shard in survey_run(folder.out).shards] == [0]
