"""What the chaos suite finds wrong, it finds; what is right, it leaves alone."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audit import Findings, undisturbed
from driver import Job

from pipeline.runfolder.parts import part_files, write_part


@pytest.fixture
def finished(tmp_path):
    job = Job(str(tmp_path / "run"), str(tmp_path / "seen"), 40, "local", seconds=0.0)
    job.do()
    return job


def audit(job):
    findings = Findings()
    findings.audit(job.out, undisturbed(job.rows))
    return findings


def test_the_audit_has_nothing_to_say_about_a_whole_run(finished):
    assert audit(finished) == Findings()


def test_the_audit_sees_lost_rows(finished):
    part = Path(part_files(finished.out)[0])
    rows = pq.read_metadata(part).num_rows
    part.unlink()
    assert audit(finished).lost == rows
    assert audit(finished).wrong


def test_the_audit_sees_rows_that_stand_there_twice(finished):
    part = max(part_files(finished.out), key=lambda part: pq.read_metadata(part).num_rows)
    table = pq.read_table(part, partitioning=None).slice(0, 2)
    write_part(finished.out, Path(part).parent.name.partition("=")[2], table)
    assert audit(finished).twice == 2
    assert audit(finished).wrong


def test_the_audit_sees_changed_rows(finished):
    part = part_files(finished.out)[0]
    table = pq.read_table(part, partitioning=None)
    rows = [{**row, "width": 1} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), part)
    assert "other contents" in audit(finished).wrong[0]


def test_the_audit_sees_what_was_done_again(finished):
    findings = Findings()
    findings.resumed({"00003.jpg", "not seen"}, finished.seen)
    assert findings.wrong == ["1 rows were written and done again: ['00003.jpg']"]
