"""What cannot be read in a run folder is named, and the rest is counted."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runfolder.survey import survey_run


def damages(folder):
    table = pq.read_table(f"{folder.out}/{folder.rows('a', ['a3'])}", partitioning=None)
    for name, damaged in {
        "part-0000000000000001.parquet": table.drop_columns(["run_id"]),
        "part-0000000000000002.parquet": table.set_column(
            table.schema.get_field_index("row_status"), "row_status", pa.array(["splendid"])
        ),
        "part-0000000000000003.parquet": table.set_column(
            table.schema.get_field_index("key_hash"), "key_hash", pa.array([b"short"], pa.binary())
        ),
    }.items():
        pq.write_table(damaged, f"{folder.out}/data/shard=a/{name}")
    half = (folder.fs.cat_file(f"{folder.root}/{folder.rows('a', ['a4'])}"))[:-40]
    folder.put("data/shard=a/part-0000000000000004.parquet", half)
    folder.put("data/shard=a/part-0000000000000005.parquet", b"")
    folder.put("finished/b.json", '{"rows": 3')
    folder.put("finished/c.json", '{"rows": 3}')
    folder.put("finished/d.json", "[]")
    folder.put("shards.parquet", b"PAR1")
    folder.put("manifest.json", '{"runs": [')
    folder.put(".lease/00000001.json", "{")
    return 5 + 3 + 2


def test_whatever_is_damaged_is_named_and_the_rest_is_counted(folder):
    folder.rows("a", ["a1", "a2"])
    number = damages(folder)
    for checked in (True, False):
        found = survey_run(folder.out, check_keys=checked)
        assert len(found.problems) == number, found.problems
        assert all(folder.out in line and "\n" not in line for line in found.problems)
        assert found.counts == {"ok": 4}
        assert (found.run_id, found.state) == (None, "stopped")
